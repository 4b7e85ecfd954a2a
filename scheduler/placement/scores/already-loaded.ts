import { toInternalName } from '../../domain/names.ts'
import type { ReplicaScore } from './score.ts'

/** A replica that still holds the copy needs no load. */
export const alreadyLoaded: ReplicaScore = {
  name: 'already-loaded',
  score: ({ model, version }, replica, cluster) =>
    cluster.observed(replica.key, toInternalName(model, version))?.state === 'Loaded' ? 1 : 0,
}
