import type { ReplicaScore } from './score.ts'

/** A new version goes where the one before it is, so both share a replica set, and Envoy its clusters. */
export const near: ReplicaScore = {
  name: 'near',
  score: (request, replica) => (request.near.includes(replica.key) ? 1 : 0),
}
