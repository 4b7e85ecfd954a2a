/** What every filter says of every server and replica, for people. Pure. */
import type { ClusterView } from '../domain/cluster.ts'
import type { ReplicaDocument } from '../domain/documents.ts'
import type { FilterRefusal, PlacementRequest, ReplicaVerdict, ServerVerdict } from '../domain/placement-request.ts'
import { freeMemoryBytes } from './filters/memory.ts'
import { REPLICA_FILTERS, SERVER_FILTERS } from './place.ts'

/** All servers, by name; unlike a placement it does not stop at the first refusal. */
export function judgeServers(request: PlacementRequest, cluster: ClusterView): readonly ServerVerdict[] {
  return cluster.serverNames().map((server) => {
    const refusals = SERVER_FILTERS.flatMap(({ name, refusal }) => toRefusal(name, refusal(request, server, cluster)))
    const replicas = cluster.replicasOf(server).map((replica) => judgeReplica(request, replica, cluster))
    const fitting = refusals.length > 0 ? 0 : replicas.filter((replica) => replica.fits).length
    return { server, fitting, refusals, replicas }
  })
}

function judgeReplica(request: PlacementRequest, replica: ReplicaDocument, cluster: ClusterView): ReplicaVerdict {
  const refusals = REPLICA_FILTERS.flatMap(({ name, refusal }) => toRefusal(name, refusal(request, replica, cluster)))
  return {
    replica: replica.key,
    fits: refusals.length === 0,
    memoryBytes: replica.memoryBytes,
    freeMemoryBytes: freeMemoryBytes(replica, cluster),
    capabilities: replica.capabilities,
    refusals,
  }
}

const toRefusal = (filter: string, detail: string | undefined): readonly FilterRefusal[] =>
  detail === undefined ? [] : [{ filter, detail }]
