/**
 * Chooses among the replicas of one server that passed the filters. Replica sets that are in use already are chosen again
 * (copysets): models on the same set share Envoy's clusters, so clusters follow placements and not models. A set of a new
 * combination is made only while a server has fewer sets of that size than replicas.
 */
import type { ClusterView } from '../domain/cluster.ts'
import type { ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import { compareReplicaKeys } from '../domain/names.ts'
import type { PlacementRequest } from '../domain/placement-request.ts'
import { alreadyLoaded } from './scores/already-loaded.ts'
import { freeMemory } from './scores/free-memory.ts'
import { near } from './scores/near.ts'
import { compareByScores, type ReplicaScore } from './scores/score.ts'
import { spread } from './scores/spread.ts'
import { stays } from './scores/stays.ts'

const AFFINITY: readonly ReplicaScore[] = [alreadyLoaded, near]
const BALANCE: readonly ReplicaScore[] = [freeMemory, spread]

/** The best `count` of the candidates, which are at least as many, ordered by index. */
export function chooseReplicas(
  request: PlacementRequest,
  server: string,
  candidates: readonly ReplicaDocument[],
  count: number,
  cluster: ClusterView,
): readonly ReplicaKey[] {
  const compare = compareByScores([stays, ...AFFINITY, ...BALANCE], request, cluster)
  const best = candidates.toSorted(compare).slice(0, count)
  const hasAffinity = best.some((replica) => AFFINITY.some(({ score }) => score(request, replica, cluster) > 0))
  const known = hasAffinity ? undefined : chooseKnownSet(request, server, candidates, count, cluster)
  return (known ?? best).map(({ key }) => key).toSorted(compareReplicaKeys)
}

/** The best balanced set in use that completes what is kept; undefined while new combinations are welcome. */
function chooseKnownSet(
  request: PlacementRequest,
  server: string,
  candidates: readonly ReplicaDocument[],
  count: number,
  cluster: ClusterView,
): readonly ReplicaDocument[] | undefined {
  const size = request.kept.length + count
  if (size < 2) return undefined // sets of one are as few as replicas
  const sets = cluster.replicaSets(server, size)
  if (sets.length < cluster.replicasOf(server).length) return undefined
  const byKey = new Map(candidates.map((replica) => [replica.key, replica]))
  const compare = compareByScores([stays, ...BALANCE], request, cluster)
  const fitting = sets.flatMap((set) => {
    const fresh = set.filter((key) => !request.kept.includes(key)).flatMap((key) => byKey.get(key) ?? [])
    return fresh.length === count ? [{ fresh, worst: fresh.toSorted(compare).at(-1) }] : []
  })
  const [first] = fitting.toSorted((a, b) => (a.worst && b.worst ? compare(a.worst, b.worst) : 0))
  return first?.fresh
}
