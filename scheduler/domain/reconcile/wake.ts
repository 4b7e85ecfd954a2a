/** When time alone makes the next step; everything else is started by a change of a document or an ACK. */
import { copyOf, isExhausted, retryAtMs } from '../copy.ts'
import type { ModelDocument, VersionDocument } from '../documents.ts'
import { wantedReplicas } from '../model-facts.ts'
import { conditionOf } from '../replica-condition.ts'
import type { Scene } from './context.ts'
import { divide } from './place-version.ts'

export function wakeAtMs(model: ModelDocument, scene: Scene): number | undefined {
  const { nowMs } = scene.context
  const times = model.versions.flatMap((version) => [
    ...drainTimes(version, nowMs),
    ...retryTimes(model, version, scene),
    ...graceTimes(version, scene),
  ])
  return times.length === 0 ? undefined : Math.min(...times)
}

function drainTimes(version: VersionDocument, nowMs: number): readonly number[] {
  return Object.values(version.leaving)
    .map(({ unloadAtMs }) => unloadAtMs)
    .filter((unloadAtMs) => unloadAtMs > nowMs)
}

function retryTimes(model: ModelDocument, version: VersionDocument, { cluster, context }: Scene): readonly number[] {
  return version.assigned.flatMap((key) => {
    const copy = copyOf(model.name, version, key, cluster)
    return copy.kind === 'failed' && !isExhausted(copy, context.retry) ? [retryAtMs(copy, context.retry)] : []
  })
}

function graceTimes(version: VersionDocument, { cluster, context }: Scene): readonly number[] {
  return version.assigned.flatMap((key) => {
    const condition = conditionOf(cluster.replica(key), context.nowMs, context.replicaGraceMs)
    return condition.kind === 'away' && condition.untilMs !== undefined ? [condition.untilMs] : []
  })
}

/** A replica should be replaced, nothing says that there is no place, and nothing was placed: the budget is spent. */
export function isWithheld(model: ModelDocument, scene: Scene): boolean {
  return model.versions.some((version) => isMoveWithheld(model, version, scene))
}

function isMoveWithheld(model: ModelDocument, version: VersionDocument, scene: Scene): boolean {
  if (model.deleted || version.unplaced !== undefined || version.server === undefined) return false
  if (!scene.context.mayMove(version.server)) return false // whoever awaits the replicas reconciles when they are there
  const { counted, replaceable } = divide(model, version, scene)
  return replaceable.size > 0 && counted.length < wantedReplicas(model) && !scene.context.moveBudget()
}
