/** When a draining replica may stop. Pure. */
import type { ClusterState } from '../domain/cluster.ts'
import type { ModelDocument, ReplicaKey } from '../domain/documents.ts'

/** After this the agent is let go whatever is left: whoever stops it has a deadline too. */
const DRAIN_DEADLINE_MS = 60_000

/** Undefined: models are still being moved. Otherwise why the agent need not wait any longer. */
export function drainEnd(
  cluster: ClusterState,
  replica: ReplicaKey,
  mayMove: (server: string) => boolean,
  elapsedMs: number,
): string | undefined {
  const models = [...cluster.modelsOn(replica)]
  if (models.length === 0) return 'all its models are served elsewhere'
  if (elapsedMs >= DRAIN_DEADLINE_MS) return `${String(models.length)} model(s) did not move in time`
  const server = cluster.replica(replica)?.server
  if (server !== undefined && !mayMove(server))
    return `nothing moves before the expected replicas of server ${server} are there`
  const unplaced = cluster.unplaced()
  if (models.every((model) => unplaced.has(model) && isLastPlace(cluster.model(model), replica, cluster)))
    return `${String(models.length)} model(s) have nowhere to go`
  return undefined
}

/** Nothing else that stays has what this replica has of the model; otherwise its copy leaves, with or without replacement. */
function isLastPlace(model: ModelDocument | undefined, replica: ReplicaKey, cluster: ClusterState): boolean {
  const stays = (other: ReplicaKey): boolean => {
    const document = cluster.replica(other)
    return document?.draining === false && document.health.kind === 'serving'
  }
  const here = model?.versions.filter(({ assigned }) => assigned.includes(replica)) ?? []
  return here.some(({ assigned }) => !assigned.some(stays))
}
