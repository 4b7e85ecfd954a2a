import { freeMemoryBytes } from '../filters/memory.ts'
import type { ReplicaScore } from './score.ts'

/** Balance: the replica with the most memory left. */
export const freeMemory: ReplicaScore = {
  name: 'free-memory',
  score: (_, replica, cluster) => freeMemoryBytes(replica, cluster),
}
