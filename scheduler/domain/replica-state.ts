/** The states of a version's replicas as the compatible API names them, derived from desired and observed state. */
import type { ClusterView } from './cluster.ts'
import { copyOf } from './copy.ts'
import { desiredReplicas } from './desired.ts'
import type { ModelDocument, ObservedDocument, ReplicaKey, VersionDocument } from './documents.ts'
import { compareReplicaKeys, toInternalName } from './names.ts'

export const REPLICA_STATES = [
  'LoadRequested',
  'Loading',
  'Loaded',
  'LoadFailed',
  'UnloadRequested',
  'Unloading',
  'Unloaded',
  'UnloadFailed',
  'Available',
  'LoadedUnavailable',
  'UnloadEnvoyRequested',
  'Draining',
] as const
export type ReplicaState = (typeof REPLICA_STATES)[number]

export interface ReplicaStatus {
  readonly replica: ReplicaKey
  readonly state: ReplicaState
  readonly reason: string
  /** When its agent last reported; 0 = never. */
  readonly changedAtMs: number
}

/** One entry for each replica that has, shall have or had this version, by replica. */
export function toReplicaStatuses(
  model: ModelDocument,
  version: VersionDocument,
  cluster: ClusterView,
): readonly ReplicaStatus[] {
  const name = toInternalName(model.name, version.version)
  const keys = new Set([...desiredReplicas(version), ...cluster.observedReplicas(name)])
  return [...keys].toSorted(compareReplicaKeys).map((replica) => {
    const observed = cluster.observed(replica, name)
    const state = stateOf(model, version, replica, observed, cluster)
    return { replica, state, reason: observed?.reason ?? '', changedAtMs: observed?.atMs ?? 0 }
  })
}

function stateOf(
  model: ModelDocument,
  version: VersionDocument,
  replica: ReplicaKey,
  observed: ObservedDocument | undefined,
  cluster: ClusterView,
): ReplicaState {
  const leaving = version.leaving[replica]
  if (leaving !== undefined) return leaving.unloadAtMs === 0 ? 'UnloadEnvoyRequested' : 'UnloadRequested'
  if (!version.assigned.includes(replica)) return stateWhenUnwanted(observed)
  const document = cluster.replica(replica)
  const copy = copyOf(model.name, version, replica, cluster)
  switch (copy.kind) {
    case 'requested':
      return 'LoadRequested'
    case 'loading':
      return 'Loading'
    case 'failed':
      return 'LoadFailed'
    case 'loaded':
      if (document?.draining === true) return 'Draining'
      if (document?.health.kind !== 'serving') return 'LoadedUnavailable'
      return isRouted(model, version, replica) ? 'Available' : 'Loaded'
  }
}

/** I2: a route that is not ACKed yet makes nothing Available that was not before. */
function isRouted(model: ModelDocument, version: VersionDocument, replica: ReplicaKey): boolean {
  const { route } = model
  return route?.version === version.version && route.ackedAtMs !== undefined && route.replicas.includes(replica)
}

function stateWhenUnwanted(observed: ObservedDocument | undefined): ReplicaState {
  switch (observed?.state) {
    case 'Unloading':
      return 'Unloading'
    case 'UnloadFailed':
      return 'UnloadFailed'
    case 'Loaded':
    case 'Loading':
      return 'UnloadRequested'
    case 'Unloaded':
    case 'LoadFailed':
    case undefined:
      return 'Unloaded'
  }
}
