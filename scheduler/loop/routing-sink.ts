/** From committed documents to Envoys. A routing change that cannot be applied is a bug: everything is given anew. */
import type { Logger } from '../../kit/log.ts'
import { toServingError } from '../../kit/errors.ts'
import type { XdsServer } from '../../xds/index.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import { createRoutingProjection } from '../routing/projection.ts'

export interface RoutingSink {
  readonly publish: (changes: readonly DocumentChange[], revision: number) => void
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
        xds.update(projection.project(changes, at)) // also when nothing changes: the revision is then ACKed
      } catch (error) {
        log.error(
          { revision: at, error: toServingError(error).message },
          'routing change refused, giving all routes anew',
        )
        xds.load(projection.full(at))
      }
    },
    routeCount: projection.routeCount,
  }
}
