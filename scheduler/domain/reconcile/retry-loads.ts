/**
 * Failed loads are asked for again with growing waits, a bounded number of times, those that cannot succeed not once; then other
 * replicas are preferred.
 */
import { copyOf, isExhausted, retryAtMs } from '../copy.ts'
import type { ModelDocument, VersionDocument } from '../documents.ts'
import { withVersion } from './place-version.ts'
import type { Scene } from './context.ts'

export function retryLoads(model: ModelDocument, scene: Scene): ModelDocument {
  return model.versions.reduce((current, version) => {
    const noted = withHopeless(model.name, version, scene)
    const retried = withRetries(model.name, noted, scene)
    return retried === version ? current : withVersion(current, retried)
  }, model)
}

/** Remembered beyond the report, which goes with the replica's folder: it is not placed there again. */
function withHopeless(model: string, version: VersionDocument, { cluster }: Scene): VersionDocument {
  const { hopeless = [] } = version
  const found = version.assigned.filter((key) => {
    const copy = copyOf(model, version, key, cluster)
    return copy.kind === 'failed' && copy.isHopeless && !hopeless.includes(key)
  })
  return found.length === 0 ? version : { ...version, hopeless: [...hopeless, ...found] }
}

function withRetries(model: string, version: VersionDocument, { cluster, context }: Scene): VersionDocument {
  const due = version.assigned.filter((key) => {
    const copy = copyOf(model, version, key, cluster)
    if (copy.kind !== 'failed' || isExhausted(copy, context.retry)) return false
    return context.nowMs >= retryAtMs(copy, context.retry)
  })
  if (due.length === 0) return version
  const raised = due.map((key) => [key, (version.attempts[key] ?? 0) + 1] as const)
  return { ...version, attempts: { ...version.attempts, ...Object.fromEntries(raised) } }
}
