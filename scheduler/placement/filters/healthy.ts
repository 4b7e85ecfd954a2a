import { conditionOf, takesNewCopies } from '../../domain/replica-condition.ts'
import type { ReplicaFilter } from './filter.ts'

/** The agent can be told, the server answers, and it is not about to stop. */
export const healthy: ReplicaFilter = {
  name: 'healthy',
  refusal: (_, replica) => {
    if (takesNewCopies(replica)) return undefined
    const condition = conditionOf(replica, 0, 0)
    return condition.kind === 'serving' ? 'is not ready' : condition.reason
  },
}
