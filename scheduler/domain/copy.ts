/** One copy: a model version on a server replica, as its agent last said. */
import type { ErrorCode } from '../../kit/errors.ts'
import type { ClusterView } from './cluster.ts'
import { isPathCut, wantedDataPath } from './data-path.ts'
import type { ModelDocument, ObservedDocument, ReplicaKey, VersionDocument } from './documents.ts'
import { toInternalName } from './names.ts'
import type { RetryPolicy } from './reconcile/context.ts'

export type Copy =
  | { readonly kind: 'requested' }
  | { readonly kind: 'loading' }
  | { readonly kind: 'loaded' }
  | {
      readonly kind: 'failed'
      readonly attempt: number
      readonly reason: string
      readonly atMs: number
      /** Asking again gives the same answer. */
      readonly isHopeless: boolean
    }

/** What only another model, or another configuration of the agent, can mend. */
const HOPELESS: ReadonlySet<string> = new Set<ErrorCode>([
  'ARTIFACT_URI_REFUSED',
  'ARTIFACT_INVALID',
  'REQUEST_INVALID',
])

export function copyOf(model: string, version: VersionDocument, replica: ReplicaKey, cluster: ClusterView): Copy {
  const observed = cluster.observed(replica, toInternalName(model, version.version))
  switch (observed?.state) {
    case 'Loaded':
      return { kind: 'loaded' }
    case 'Loading':
      return { kind: 'loading' }
    case 'LoadFailed': {
      const attempt = version.attempts[replica] ?? 0
      if (observed.attempt < attempt) return { kind: 'requested' } // answers an older request
      return {
        kind: 'failed',
        attempt,
        reason: observed.reason,
        atMs: observed.atMs,
        isHopeless: HOPELESS.has(observed.code ?? ''),
      }
    }
    case 'Unloading':
    case 'Unloaded':
    case 'UnloadFailed':
    case undefined:
      return { kind: 'requested' }
  }
}

/** Loaded, on a server that answers and is reached: a route may name it. */
export function isReady(
  model: ModelDocument,
  version: VersionDocument,
  key: ReplicaKey,
  cluster: ClusterView,
): boolean {
  const replica = cluster.replica(key)
  if (replica?.health.kind !== 'serving' || isPathCut(replica, wantedDataPath(model, version, cluster))) return false
  return copyOf(model.name, version, key, cluster).kind === 'loaded'
}

/** It failed as often as it is tried without anybody's help, or once in a way that does not pass. */
export function isExhausted(copy: Copy, retry: RetryPolicy): boolean {
  return copy.kind === 'failed' && (copy.isHopeless || copy.attempt + 1 >= retry.maxAttempts)
}

/** When a failed copy is asked for again. */
export function retryAtMs(copy: Copy & { readonly kind: 'failed' }, retry: RetryPolicy): number {
  return copy.atMs + Math.min(retry.maxDelayMs, retry.firstDelayMs * 2 ** copy.attempt)
}

/** The agent still holds something of it. */
export function isHeld(observed: ObservedDocument | undefined): boolean {
  return observed !== undefined && observed.state !== 'Unloaded' && observed.state !== 'LoadFailed'
}
