/** From committed documents to Envoys. A routing change that cannot be applied is a bug: everything is given anew. */
import type { Logger } from '../../kit/log.ts'
import { toServingError } from '../../kit/errors.ts'
import type { ChangeIr, XdsServer } from '../../xds/index.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import { createRoutingProjection } from '../routing/projection.ts'

export interface RoutingSink {
  /** Whether Envoys have something to ACK. */
  readonly publish: (changes: readonly DocumentChange[], revision: number) => boolean
  readonly routeCount: () => number
}

/** Gives Envoys the whole state at once (I9: only a state that was read), then follows. */
export function createRoutingSink(
  xds: Pick<XdsServer, 'load' | 'update'>,
  cluster: ClusterState,
  revision: number,
  log: Logger,
): RoutingSink {
  const projection = createRoutingProjection(cluster)
  xds.load(projection.full(revision))
  return {
    publish: (changes, at) => {
      try {
        const change = projection.project(changes, at)
        xds.update(change) // also when nothing changes: the revision is then ACKed
        return !isEmpty(change)
      } catch (error) {
        log.error(
          { revision: at, error: toServingError(error).message },
          'routing change refused, giving all routes anew',
        )
        xds.load(projection.full(at))
        return true
      }
    },
    routeCount: projection.routeCount,
  }
}

function isEmpty(change: ChangeIr): boolean {
  const { upsertRoutes, removeTargets, upsertEndpointSets, removeEndpointSetIds, splits } = change
  if (splits !== undefined) return false
  return [upsertRoutes, removeTargets, upsertEndpointSets, removeEndpointSetIds].every((list) => list.length === 0)
}
