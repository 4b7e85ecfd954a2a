/** A filter says why a server, or one of its replicas, cannot take a version; undefined lets it pass. */
import type { ClusterView } from '../../domain/cluster.ts'
import type { ReplicaDocument } from '../../domain/documents.ts'
import type { PlacementRequest } from '../../domain/placement-request.ts'

export interface ServerFilter {
  readonly name: string
  readonly refusal: (request: PlacementRequest, server: string, cluster: ClusterView) => string | undefined
}

export interface ReplicaFilter {
  readonly name: string
  readonly refusal: (request: PlacementRequest, replica: ReplicaDocument, cluster: ClusterView) => string | undefined
}
