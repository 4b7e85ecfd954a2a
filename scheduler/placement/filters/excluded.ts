import type { ReplicaFilter } from './filter.ts'

/** Replicas that the version has already, that are being replaced, or where it failed to load before. */
export const excluded: ReplicaFilter = {
  name: 'excluded',
  refusal: ({ kept, excluded: reasons }, replica) =>
    kept.includes(replica.key) ? 'has it already' : reasons.get(replica.key),
}
