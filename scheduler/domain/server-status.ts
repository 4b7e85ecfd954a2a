/** A server's status: its replicas, their memory, and what is loaded on them. */
import type { ClusterState } from './cluster.ts'
import type { KubernetesMeta, ReplicaDocument, ReplicaKey } from './documents.ts'

export interface ServerReplicaStatus {
  readonly replica: ReplicaKey
  readonly index: number
  readonly totalMemoryBytes: number
  readonly availableMemoryBytes: number
  readonly overcommitPercentage: number
  /** Models with at least one version loaded. */
  readonly numLoadedModels: number
  /** In one word what to expect of it: serving, reloading, down, draining, agentLost. */
  readonly condition: 'serving' | 'reloading' | 'down' | 'draining' | 'agentLost'
}

export interface ServerStatus {
  readonly server: string
  /** -1: nobody has said. */
  readonly expectedReplicas: number
  readonly availableReplicas: number
  readonly numLoadedModelReplicas: number
  readonly kubernetesMeta?: KubernetesMeta
  /** Draining replicas are listed, but not counted as available. */
  readonly replicas: readonly ServerReplicaStatus[]
  readonly reason: string
}

/** Undefined: nobody has applied this server and no agent has reported it. Costs what is loaded on its replicas. */
export function toServerStatus(server: string, cluster: ClusterState): ServerStatus | undefined {
  const document = cluster.server(server)
  const documents = cluster.replicasOf(server)
  if (document === undefined && documents.length === 0) return undefined
  const replicas = documents.map((replica) => toReplicaStatus(replica, cluster))
  const available = replicas.filter(({ condition }) => condition === 'serving' || condition === 'agentLost')
  const expectedReplicas = document?.expectedReplicas ?? -1
  return {
    server,
    expectedReplicas,
    availableReplicas: available.length,
    numLoadedModelReplicas: replicas.reduce((sum, { numLoadedModels }) => sum + numLoadedModels, 0),
    ...(document?.kubernetesMeta === undefined ? {} : { kubernetesMeta: document.kubernetesMeta }),
    replicas,
    reason: reasonOf(replicas, expectedReplicas),
  }
}

function toReplicaStatus(replica: ReplicaDocument, cluster: ClusterState): ServerReplicaStatus {
  const loaded = [...cluster.observedOn(replica.key).values()].filter(({ state }) => state === 'Loaded')
  const models = new Set(loaded.map(({ internalName }) => internalName.slice(0, internalName.lastIndexOf('_'))))
  return {
    replica: replica.key,
    index: replica.index,
    totalMemoryBytes: replica.memoryBytes,
    availableMemoryBytes: Math.max(0, replica.memoryBytes - cluster.reservedBytes(replica.key)),
    overcommitPercentage: replica.overcommitPercentage,
    numLoadedModels: models.size,
    condition: conditionWord(replica),
  }
}

function conditionWord(replica: ReplicaDocument): ServerReplicaStatus['condition'] {
  if (replica.health.kind === 'down') return 'down'
  if (replica.draining) return 'draining'
  if (replica.agent.kind === 'lost') return 'agentLost'
  return replica.health.kind
}

function reasonOf(replicas: readonly ServerReplicaStatus[], expected: number): string {
  const missing = Math.max(0, expected - replicas.filter(({ index }) => index < expected).length)
  const isScaledAway = ({ index, condition }: ServerReplicaStatus): boolean =>
    expected >= 0 && index >= expected && condition === 'down'
  const absent = replicas
    .filter((replica) => replica.condition !== 'serving' && !isScaledAway(replica))
    .map(({ replica, condition }) => `${replica} is ${condition === 'agentLost' ? 'without its agent' : condition}`)
  const awaited =
    missing === 0 ? [] : [`${String(missing)} of ${String(expected)} replicas have not connected: start them`]
  return [...absent, ...awaited].join('; ')
}
