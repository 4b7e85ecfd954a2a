/** Failed loads are asked for again with growing waits, a bounded number of times; then other replicas are preferred. */
import { copyOf, isExhausted, retryAtMs } from '../copy.ts'
import type { ModelDocument, ReplicaKey, VersionDocument } from '../documents.ts'
import { withVersion } from './place-version.ts'
import type { Scene } from './context.ts'

export function retryLoads(model: ModelDocument, scene: Scene): ModelDocument {
  return model.versions.reduce((current, version) => retryVersion(current, version, scene), model)
}

function retryVersion(model: ModelDocument, version: VersionDocument, { cluster, context }: Scene): ModelDocument {
  const due = version.assigned.filter((key) => {
    const copy = copyOf(model.name, version, key, cluster)
    if (copy.kind !== 'failed' || isExhausted(copy, context.retry)) return false
    return context.nowMs >= retryAtMs(copy, context.retry)
  })
  if (due.length === 0) return model
  const raised = due.map((key: ReplicaKey) => [key, (version.attempts[key] ?? 0) + 1] as const)
  return withVersion(model, { ...version, attempts: { ...version.attempts, ...Object.fromEntries(raised) } })
}
