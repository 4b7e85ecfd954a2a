import type { ReplicaScore } from './score.ts'

/** Spread: the replica with the fewest models, which also balances models whose size is not known yet. */
export const spread: ReplicaScore = {
  name: 'spread',
  score: (_, replica, cluster) => -cluster.copiesOn(replica.key),
}
