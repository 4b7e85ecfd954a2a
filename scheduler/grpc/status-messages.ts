/** Statuses as the compatible API says them. Pure. */
import type { ModelStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ModelStatusResponse.ts'
import type { ModelVersionStatus } from '../../api/generated/seldon/mlops/scheduler/ModelVersionStatus.ts'
import type { ServerStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ServerStatusResponse.ts'
import type { ClusterState, ClusterView } from '../domain/cluster.ts'
import type { ModelDocument, ModelStatusDocument, VersionDocument } from '../domain/documents.ts'
import { wantedVersion } from '../domain/model-facts.ts'
import { parseReplicaKey } from '../domain/names.ts'
import { toReplicaStatuses } from '../domain/replica-state.ts'
import { toServerStatus } from '../domain/server-status.ts'
import { toModelMessage } from './model-draft.ts'
import { toVersionState } from '../operations/version-state.ts'

/** Of the latest version, or of all; the latest is last. */
export function toModelStatusMessage(
  model: ModelDocument,
  cluster: ClusterView,
  allVersions: boolean,
): ModelStatusResponse {
  const versions = allVersions ? model.versions : [wantedVersion(model)]
  return {
    modelName: model.name,
    versions: versions.map((version) => toVersionMessage(model, version, cluster)),
    deleted: model.deleted,
    keepTopics: !model.deployment.cleanTopicsOnDelete,
    timestamp: model.status.changedAtMs,
  }
}

/** The last that is said of a model: its record is gone. */
export function toTerminatedMessage(model: ModelDocument, cluster: ClusterView, nowMs: number): ModelStatusResponse {
  const status: ModelStatusDocument = {
    state: 'ModelTerminated',
    reason: 'Unloaded everywhere',
    availableReplicas: 0,
    unavailableReplicas: 0,
    changedAtMs: nowMs,
  }
  return toModelStatusMessage({ ...model, deleted: true, status }, cluster, false)
}

function toVersionMessage(model: ModelDocument, version: VersionDocument, cluster: ClusterView): ModelVersionStatus {
  const { state, reason } = toVersionState(model, version)
  const isWanted = version === wantedVersion(model)
  const replicas = toReplicaStatuses(model, version, cluster)
  const routed = model.route?.version === version.version ? model.route.replicas.length : 0
  return {
    version: version.version,
    serverName: version.server ?? '',
    ...(version.kubernetesMeta ? { kubernetesMeta: version.kubernetesMeta } : {}),
    modelReplicaState: Object.fromEntries(
      replicas.map((replica) => [
        parseReplicaKey(replica.replica).index,
        { state: replica.state, reason: replica.reason, lastChangeTimestamp: toTimestamp(replica.changedAtMs) },
      ]),
    ),
    state: {
      state,
      reason,
      availableReplicas: isWanted ? model.status.availableReplicas : routed,
      unavailableReplicas: isWanted ? model.status.unavailableReplicas : 0,
      lastChangeTimestamp: toTimestamp(model.status.changedAtMs),
      modelGwState: 'ModelStateUnknown',
    },
    modelDefn: toModelMessage(model, version),
  }
}

/** Undefined when nobody knows this server. */
export function toServerStatusMessage(server: string, cluster: ClusterState): ServerStatusResponse | undefined {
  const status = toServerStatus(server, cluster)
  if (status === undefined) return undefined
  return {
    type: 'StatusUpdate',
    serverName: server,
    expectedReplicas: status.expectedReplicas,
    availableReplicas: status.availableReplicas,
    numLoadedModelReplicas: status.numLoadedModelReplicas,
    ...(status.kubernetesMeta ? { kubernetesMeta: status.kubernetesMeta } : {}),
    resources: status.replicas
      .filter((replica) => replica.condition !== 'draining')
      .map((replica) => ({
        replicaIdx: replica.index,
        totalMemoryBytes: replica.totalMemoryBytes,
        availableMemoryBytes: replica.availableMemoryBytes,
        numLoadedModels: replica.numLoadedModels,
        overCommitPercentage: replica.overcommitPercentage,
      })),
  }
}

export const toTimestamp = (ms: number): { seconds: number; nanos: number } => ({
  seconds: Math.floor(ms / 1_000),
  nanos: (ms % 1_000) * 1_000_000,
})
