import type { Kind } from '../../api/resources/resource.ts'
import { ServingError } from '../../kit/errors.ts'
import type { ModelResource } from '../../api/resources/resource.ts'
import type { WorkerReport } from '../dataflow/workers.ts'
import type { Feed } from '../loop/feed.ts'
import type { NodeReport } from '../loop/nodes.ts'
import type { PlacementAnswer } from '../operations/explain-placement.ts'
import type { Operations } from '../operations/operations.ts'

/** What the routes need of a scheduler that has read its state. */
export interface Backend {
  readonly operations: Operations
  readonly explainPlacement: (model: ModelResource) => PlacementAnswer
  readonly feed: Feed
  /** What changed after a position that a watcher was told; undefined: tell it everything. */
  readonly changesSince: (kind: Kind, position: string) => readonly string[] | undefined
  /** Where the state is now; a watcher goes on from it. */
  readonly position: () => string
  readonly revision: () => number
  readonly nodes: () => readonly NodeReport[]
  /** Undefined: this scheduler does not lead. */
  readonly workers: () => readonly WorkerReport[] | undefined
}

/** Undefined while the scheduler starts. */
export type BackendSource = () => Backend | undefined

/** @throws ServingError STORE_UNAVAILABLE */
export function requireBackend(source: BackendSource): Backend {
  const backend = source()
  if (backend !== undefined) return backend
  throw new ServingError('STORE_UNAVAILABLE', 'the scheduler is starting: it has not read its state from Redis yet')
}
