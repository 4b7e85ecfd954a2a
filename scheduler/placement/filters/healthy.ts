import { conditionOf } from '../../domain/replica-condition.ts'
import type { ReplicaFilter } from './filter.ts'

/** The agent can be told, the server answers, and it is not about to stop. */
export const healthy: ReplicaFilter = {
  name: 'healthy',
  refusal: (_, replica) => {
    const condition = conditionOf(replica, 0, 0) // time only tells how long it has been away
    return condition.kind === 'serving' ? undefined : condition.reason
  },
}
