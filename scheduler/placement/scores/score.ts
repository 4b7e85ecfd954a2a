/** A score orders the replicas that passed the filters: more is better, and an earlier score decides before a later one. */
import type { ClusterView } from '../../domain/cluster.ts'
import type { ReplicaDocument } from '../../domain/documents.ts'
import type { PlacementRequest } from '../../domain/placement-request.ts'

export interface ReplicaScore {
  readonly name: string
  readonly score: (request: PlacementRequest, replica: ReplicaDocument, cluster: ClusterView) => number
}

/** Compares by the first score that tells the two apart, then by index. */
export function compareByScores(
  scores: readonly ReplicaScore[],
  request: PlacementRequest,
  cluster: ClusterView,
): (a: ReplicaDocument, b: ReplicaDocument) => number {
  return (a, b) => {
    for (const { score } of scores) {
      const difference = score(request, b, cluster) - score(request, a, cluster)
      if (difference !== 0) return difference
    }
    return a.index - b.index
  }
}
