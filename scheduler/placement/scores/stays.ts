import type { ReplicaScore } from './score.ts'

/** A server that is scaled down loses its highest indices: a replica beyond the expected ones is about to leave. */
export const stays: ReplicaScore = {
  name: 'stays',
  score: (_, replica, cluster) => {
    const expected = cluster.server(replica.server)?.expectedReplicas ?? -1
    return expected < 0 || replica.index < expected ? 1 : 0
  },
}
