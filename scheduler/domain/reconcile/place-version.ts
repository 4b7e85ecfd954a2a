/** Chooses where a version runs: first placement, more replicas, and replacements for replicas that are lost or retire. */
import type { ClusterView } from '../cluster.ts'
import { copyOf, isExhausted, isReady } from '../copy.ts'
import type { ModelDocument, ReplicaKey, VersionDocument } from '../documents.ts'
import { addVersion } from '../model-change.ts'
import { routedVersion, wantedReplicas, wantedVersion } from '../model-facts.ts'
import { compareReplicaKeys } from '../names.ts'
import type { PlacementRequest, PlacementResult } from '../placement-request.ts'
import { conditionOf } from '../replica-condition.ts'
import type { Scene } from './context.ts'
import { rollingCounts } from './rolling-update.ts'

/** A version's assigned replicas, divided: those that count towards what is wanted, and why the others do not. */
export interface Division {
  readonly counted: readonly ReplicaKey[]
  readonly replaceable: ReadonlyMap<ReplicaKey, string>
}

/** A replica that is away counts for the grace, unless nothing else of the version answers: then it is replaced at once. */
export function divide(model: ModelDocument, version: VersionDocument, { cluster, context }: Scene): Division {
  const isAnswered = version.assigned.some((key) => isReady(model, version, key, cluster))
  const reasons = new Map<ReplicaKey, string>()
  for (const key of version.assigned) {
    const condition = conditionOf(cluster.replica(key), context.nowMs, context.replicaGraceMs)
    if (condition.kind === 'retiring' || condition.kind === 'lost') reasons.set(key, condition.reason)
    if (condition.kind === 'away' && condition.untilMs !== undefined && !isAnswered) reasons.set(key, condition.reason)
    const copy = copyOf(model.name, version, key, cluster)
    if (condition.kind === 'serving' && isExhausted(copy, context.retry)) reasons.set(key, 'failed to load it')
  }
  return { counted: version.assigned.filter((key) => !reasons.has(key)), replaceable: reasons }
}

/** The wanted version gets the replicas that it lacks; it moves to another server when its own cannot hold them. */
export function placeWanted(model: ModelDocument, scene: Scene): ModelDocument {
  const version = wantedVersion(model)
  const count = rollingCounts(model, scene.cluster)?.next ?? wantedReplicas(model)
  const division = divide(model, version, scene)
  const missing = count - division.counted.length
  if (missing <= 0) return withVersion(model, withoutExplanation(version))
  if (!mayReplace(model, version, division, scene)) return model
  const isServing = routedVersion(model) === version
  const request = toRequest(model, version, division, missing, scene.cluster)
  const onOwnServer: PlacementRequest =
    division.counted.length > 0 && version.server !== undefined ? { ...request, onServer: version.server } : request
  const placed = placeWithin(onOwnServer, version, division, scene)
  const isEnough = placed.kind === 'placed' && placed.shortfall === undefined
  const whole = isEnough || version.assigned.length === 0 ? undefined : placeElsewhere(model, version, division, scene)
  const chosen = whole ?? placed
  if (chosen.kind === 'refused') return withVersion(model, { ...version, unplaced: chosen.explanation })
  if (chosen.server === version.server || version.assigned.length === 0 || !isServing)
    return withVersion(model, assign(model, version, chosen, scene.cluster))
  return relocate(model, version, chosen, scene)
}

/** The version that serves while a newer one is not ready: only what it loses is replaced, on its own server (I4). */
export function placeServing(model: ModelDocument, scene: Scene): ModelDocument {
  const version = routedVersion(model)
  if (version === undefined || version === wantedVersion(model) || version.server === undefined) return model
  const division = divide(model, version, scene)
  const rolling = rollingCounts(model, scene.cluster)
  // What it lost without a replacement (`unplaced`), or gave up for an update that came to nothing, is given back.
  const isAbandoned = rolling !== undefined && model.route?.next?.version !== wantedVersion(model).version
  const lost = version.unplaced === undefined && !isAbandoned ? division.replaceable.size : Number.MAX_SAFE_INTEGER
  const missing = Math.min((rolling?.serving ?? wantedReplicas(model)) - division.counted.length, lost)
  if (missing <= 0) return withVersion(model, withoutExplanation(version))
  if (!mayReplace(model, version, division, scene)) return model
  const request = { ...toRequest(model, version, division, missing, scene.cluster), onServer: version.server }
  const placed = scene.context.place(request, scene.cluster)
  if (placed.kind === 'refused') return withVersion(model, { ...version, unplaced: placed.explanation })
  return withVersion(model, withoutExplanation(assign(model, version, placed, scene.cluster)))
}

/** Nothing is moved while a start-up awaits the server's replicas, and only so much at a time. */
function mayReplace(model: ModelDocument, version: VersionDocument, division: Division, { context }: Scene): boolean {
  if (division.replaceable.size === 0) return true
  if (version.server !== undefined && !context.mayMove(version.server)) return false
  return routedVersion(model) !== version || context.moveBudget()
}

function toRequest(
  model: ModelDocument,
  version: VersionDocument,
  division: Division,
  missing: number,
  cluster: ClusterView,
): PlacementRequest {
  const serving = routedVersion(model)
  const isAllOrNothing = division.counted.length === 0 && serving !== version
  const { minReplicas } = model.deployment
  return {
    model: model.name,
    version: version.version,
    spec: version.spec,
    memoryBytes: expectedMemoryBytes(model, version, cluster),
    count: missing,
    minCount: isAllOrNothing ? (minReplicas > 0 ? Math.min(minReplicas, missing) : missing) : 1,
    kept: division.counted,
    excluded: division.replaceable,
    near: (serving ?? version).assigned,
  }
}

/** A version whose size is not known yet is expected to take what the one before it takes. */
function expectedMemoryBytes(model: ModelDocument, version: VersionDocument, cluster: ClusterView): number {
  const known = cluster.memoryBytesOf(model.name, version.version)
  const serving = routedVersion(model)
  return known > 0 || serving === undefined || version.spec.memoryBytes !== undefined
    ? known
    : cluster.memoryBytesOf(model.name, serving.version)
}

/** Replicas where it failed for good are left out, unless there is no other place and none of them is failing it now. */
function placeWithin(
  request: PlacementRequest,
  version: VersionDocument,
  division: Division,
  { cluster, context }: Scene,
): PlacementResult {
  const { hopeless = [] } = version
  const triedOften = (Object.keys(version.attempts) as ReplicaKey[]).filter(
    (key) => (version.attempts[key] ?? 0) + 1 >= context.retry.maxAttempts,
  )
  const failedBefore = [...new Set([...hopeless, ...triedOften])].filter((key) => !version.assigned.includes(key))
  const reason = (key: ReplicaKey): string =>
    hopeless.includes(key) ? 'cannot load it' : `failed to load it ${String((version.attempts[key] ?? 0) + 1)} times`
  const wary = {
    ...request,
    excluded: new Map([...failedBefore.map((key) => [key, reason(key)] as const), ...request.excluded]),
  }
  const result = context.place(wary, cluster)
  if (result.kind === 'placed' || failedBefore.length === 0) return result
  const isFailingNow = [...division.replaceable.keys()].some((key) =>
    isExhausted(copyOf(request.model, version, key, cluster), context.retry),
  )
  return isFailingNow || division.counted.length > 0 ? result : context.place(request, cluster)
}

/** All of it on another server: only when everything that is wanted fits there. */
function placeElsewhere(
  model: ModelDocument,
  version: VersionDocument,
  division: Division,
  scene: Scene,
): (PlacementResult & { readonly kind: 'placed' }) | undefined {
  const { cluster, context } = scene
  if (version.server === undefined || division.counted.length === 0) return undefined // not bound to its server anyway
  if (!context.mayMove(version.server) || (routedVersion(model) === version && !context.moveBudget())) return undefined
  const count = wantedReplicas(model)
  const own = cluster.replicasOf(version.server).map(({ key }) => [key, 'is on the server it has'] as const)
  const request = toRequest(model, version, { counted: [], replaceable: division.replaceable }, count, cluster)
  const result = placeWithin(
    { ...request, minCount: count, near: [], excluded: new Map([...own, ...request.excluded]) },
    version,
    division,
    scene,
  )
  return result.kind === 'placed' ? result : undefined
}

/** A version never spans servers: going to another one is a new version with the same spec, and an ordinary rollout. */
function relocate(
  model: ModelDocument,
  version: VersionDocument,
  placed: PlacementResult & { readonly kind: 'placed' },
  scene: Scene,
): ModelDocument {
  const kept = withVersion(model, withoutExplanation(version))
  const moved = addVersion(kept, version.spec, version.kubernetesMeta, scene.context.nowMs).document
  return withVersion(moved, assign(moved, wantedVersion(moved), placed, scene.cluster))
}

function assign(
  model: ModelDocument,
  version: VersionDocument,
  placed: PlacementResult & { readonly kind: 'placed' },
  cluster: ClusterView,
): VersionDocument {
  const kept = placed.server === version.server ? version.assigned : []
  const attempts = { ...version.attempts }
  for (const key of placed.replicas) {
    const copy = copyOf(model.name, version, key, cluster)
    if (copy.kind === 'failed') attempts[key] = Math.max(copy.attempt, attempts[key] ?? 0) + 1 // an older failure
  }
  const { unplaced: _unplaced, server: _server, ...before } = version
  return {
    server: placed.server,
    ...before,
    assigned: [...kept, ...placed.replicas].toSorted(compareReplicaKeys),
    attempts,
    ...(placed.shortfall === undefined ? {} : { unplaced: placed.shortfall }),
  }
}

export function withoutExplanation(version: VersionDocument): VersionDocument {
  const { unplaced: _, ...placed } = version
  return placed
}

export function withVersion(model: ModelDocument, version: VersionDocument): ModelDocument {
  return { ...model, versions: model.versions.map((other) => (other.version === version.version ? version : other)) }
}
