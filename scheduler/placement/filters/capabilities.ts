import type { ReplicaFilter } from './filter.ts'

/** What an explainer needs besides its stated requirements. */
const EXPLAINER_CAPABILITY = 'alibi-explain'

/** Each replica must offer everything that the model requires; replicas of one server may differ. */
export const capabilities: ReplicaFilter = {
  name: 'capabilities',
  refusal: ({ spec }, replica) => {
    const required = new Set(
      spec.explainer === undefined ? spec.requirements : [...spec.requirements, EXPLAINER_CAPABILITY],
    )
    const offered = new Set(replica.capabilities.map((capability) => capability.trim()))
    const lacking = [...required]
      .map((requirement) => requirement.trim())
      .filter((requirement) => !offered.has(requirement))
    return lacking.length === 0
      ? undefined
      : `lacks ${lacking.join(', ')} (it has ${[...offered].join(', ') || 'no capabilities'})`
  },
}
