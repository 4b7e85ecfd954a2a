/**
 * Copies that agents keep although this store does not know them (I9, see introduction.ts). They go as any copy that
 * leaves does (I3): when their model was applied again and answers, and requests in flight had the drain time to end.
 */
import type { InternalName, ModelDocument, ReplicaKey } from '../domain/documents.ts'
import { parseInternalName } from '../domain/names.ts'

interface Copy {
  readonly replica: ReplicaKey
  readonly name: InternalName
}

export interface KeptCopies {
  readonly keep: (replica: ReplicaKey, names: readonly InternalName[]) => void
  /** A model was written: once it is available, which is once Envoys have ACKed its route, its copies begin to leave. */
  readonly follow: (model: ModelDocument, nowMs: number) => void
  /** What has left by now. Each copy is told once. */
  readonly takeLeft: (nowMs: number) => readonly Copy[]
}

export function createKeptCopies(drainTimeMs: number): KeptCopies {
  const byModel = new Map<string, Map<string, Copy>>()
  const leaving: { readonly copies: readonly Copy[]; readonly atMs: number }[] = [] // the oldest first
  return {
    keep: (replica, names) => {
      for (const name of names) {
        const { model } = parseInternalName(name)
        const copies = byModel.get(model) ?? new Map<string, Copy>()
        byModel.set(model, copies.set(`${replica} ${name}`, { replica, name }))
      }
    },
    follow: (model, nowMs) => {
      const copies = model.availableSinceMs === undefined ? undefined : byModel.get(model.name)
      if (copies === undefined) return
      byModel.delete(model.name)
      leaving.push({ copies: [...copies.values()], atMs: nowMs + drainTimeMs })
    },
    takeLeft: (nowMs) => {
      const first = leaving.findIndex(({ atMs }) => atMs > nowMs)
      return leaving.splice(0, first === -1 ? leaving.length : first).flatMap(({ copies }) => copies)
    },
  }
}
