/** Everything one agent knows, in one place. Only the reconciler changes it; everybody else reads. */
import type { Desired } from '../desired/desired.ts'
import type { ObservedModels } from '../desired/observed.ts'
import type { ServerState } from '../runtime/server-state.ts'

export interface ReplicaState {
  readonly desired: Desired
  readonly observed: ObservedModels
  readonly server: ServerState
  /** The newest generation that has been acted upon in full. */
  readonly appliedGeneration: number
}
