/**
 * What to do next so that each server runs the replicas that are applied. Pure: call it again whenever something changed.
 * Missing replicas are started together, lowest index first. Surplus ones leave one after the other, highest index first:
 * each drains while those below it still serve.
 */
import type { ServerKind } from './kinds.ts'

export type ReplicaState =
  | { readonly kind: 'starting' }
  | { readonly kind: 'running' }
  | { readonly kind: 'draining' }
  /** Could not be started; nothing of it runs. */
  | { readonly kind: 'failed'; readonly retryAtMs: number; readonly failures: number; readonly reason: string }

/** By index. */
export type Replicas = ReadonlyMap<number, ReplicaState>

export type Step =
  | { readonly kind: 'start'; readonly server: ServerKind; readonly index: number }
  | { readonly kind: 'drain'; readonly server: ServerKind; readonly index: number }
  /** It failed, and nobody wants it any more. */
  | { readonly kind: 'forget'; readonly server: ServerKind; readonly index: number }

export function planSteps(
  desired: ReadonlyMap<ServerKind, number>,
  running: (server: ServerKind) => Replicas,
  nowMs: number,
): Step[] {
  return [...desired].flatMap(([server, count]) => planServer(server, count, running(server), nowMs))
}

function planServer(server: ServerKind, count: number, replicas: Replicas, nowMs: number): Step[] {
  const wanted = Array.from({ length: count }, (_, index) => index)
  const starts = wanted.filter((index) => isDue(replicas.get(index), nowMs))
  const surplus = [...replicas].filter(([index]) => index >= count).toSorted(([a], [b]) => b - a)
  const forgotten = surplus.filter(([, { kind }]) => kind === 'failed')
  const [highest] = surplus.filter(([, { kind }]) => kind !== 'failed')
  // One that still starts is drained when it runs, one that drains is waited for, whichever its index.
  const isDraining = [...replicas.values()].some(({ kind }) => kind === 'draining')
  const drains = highest !== undefined && highest[1].kind === 'running' && !isDraining ? [highest[0]] : []
  return [
    ...starts.map((index): Step => ({ kind: 'start', server, index })),
    ...drains.map((index): Step => ({ kind: 'drain', server, index })),
    ...forgotten.map(([index]): Step => ({ kind: 'forget', server, index })),
  ]
}

function isDue(replica: ReplicaState | undefined, nowMs: number): boolean {
  return replica === undefined || (replica.kind === 'failed' && nowMs >= replica.retryAtMs)
}

/** When `planSteps` has something to do again although nothing changed; undefined: never. */
export function nextRetryMs(replicas: Iterable<ReplicaState>): number | undefined {
  const times = [...replicas].flatMap((replica) => (replica.kind === 'failed' ? [replica.retryAtMs] : []))
  return times.length === 0 ? undefined : Math.min(...times)
}
