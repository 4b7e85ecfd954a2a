/** Copies that agents keep although this store does not know them (I9, see introduction.ts), until their model answers again. */
import type { InternalName, ModelDocument, ReplicaKey } from '../domain/documents.ts'
import { parseInternalName } from '../domain/names.ts'

interface Copy {
  readonly replica: ReplicaKey
  readonly name: InternalName
}

export interface KeptCopies {
  readonly keep: (replica: ReplicaKey, names: readonly InternalName[]) => void
  /** What is needed no more, because a model of that name was applied again and is available. */
  readonly release: (model: ModelDocument) => readonly Copy[]
}

export function createKeptCopies(): KeptCopies {
  const byModel = new Map<string, Map<string, Copy>>()
  return {
    keep: (replica, names) => {
      for (const name of names) {
        const { model } = parseInternalName(name)
        const copies = byModel.get(model) ?? new Map<string, Copy>()
        byModel.set(model, copies.set(`${replica} ${name}`, { replica, name }))
      }
    },
    release: (model) => {
      const copies = model.availableSinceMs === undefined ? undefined : byModel.get(model.name)
      if (copies === undefined) return []
      byModel.delete(model.name)
      return [...copies.values()]
    },
  }
}
