import { ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { experimentsOf } from '../domain/experiment/change.ts'

/** What an experiment sends to stays as long as the experiment does. @throws ServingError IN_USE naming it */
export function refuseInUse(cluster: ClusterState, kind: 'model' | 'pipeline', name: string): void {
  const experiments = experimentsOf(cluster, kind, name)
  if (experiments.length === 0) return
  throw new ServingError(
    'IN_USE',
    `${kind} ${name} is used by experiment ${experiments.join(', ')}: delete or change that first`,
  )
}
