/** Which way the requests of a model go, and what that asks of a server replica. */
import type { ClusterView } from './cluster.ts'
import type { DataPath, ModelDocument, ReplicaDocument, ReplicaKey, VersionDocument } from './documents.ts'

/** What users asked for: the model's own word, else its server's. */
export function wantedDataPath(model: ModelDocument, version: VersionDocument, cluster: ClusterView): DataPath {
  const server = version.server === undefined ? undefined : cluster.server(version.server)
  return model.deployment.dataPath ?? server?.dataPath ?? 'direct'
}

/** What a route to these replicas gets: one whose agent has no proxy (an older one) would not be reached through it. */
export function routedDataPath(
  model: ModelDocument,
  version: VersionDocument,
  replicas: readonly ReplicaKey[],
  cluster: ClusterView,
): DataPath {
  if (wantedDataPath(model, version, cluster) === 'direct') return 'direct'
  return replicas.every((key) => cluster.replica(key)?.proxy !== undefined) ? 'agent' : 'direct'
}

/** With the agent, its proxy is lost; the server itself may still answer. */
export function isPathCut(replica: ReplicaDocument, path: DataPath): boolean {
  return path === 'agent' && replica.proxy !== undefined && replica.agent.kind === 'lost'
}
