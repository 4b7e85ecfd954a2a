/**
 * A model's status. It is that of the version users want, with one difference to be known: `availableReplicas` counts what serves
 * now, so a new version that fails says ModelFailed (or ScheduleFailed) while the old one's replicas are still counted (I4).
 * I2: nothing is ModelAvailable before every counting Envoy has ACKed its route.
 */
import { copyOf, isExhausted, isReady } from './copy.ts'
import type {
  ModelDocument,
  ModelState,
  ModelStatusDocument,
  PlacementExplanation,
  VersionDocument,
} from './documents.ts'
import { routedVersion, wantedReplicas, wantedVersion } from './model-facts.ts'
import { toInternalName } from './names.ts'
import type { Scene } from './reconcile/context.ts'
import { conditionOf } from './replica-condition.ts'

/** The status of a model record as it stands; `changedAtMs` moves only when something else does. */
export function toModelStatus(model: ModelDocument, scene: Scene): ModelStatusDocument {
  const availableReplicas = countAvailable(model, scene)
  const verdict = decide(model, availableReplicas, scene)
  const unavailableReplicas = Math.max(0, wantedReplicas(model) - availableReplicas)
  const { status } = model
  const isSame =
    status.state === verdict.state &&
    status.reason === verdict.reason &&
    status.retrying === verdict.retrying &&
    status.availableReplicas === availableReplicas &&
    status.unavailableReplicas === unavailableReplicas
  if (isSame) return status
  return { availableReplicas, unavailableReplicas, changedAtMs: scene.context.nowMs, ...verdict }
}

/** Replicas that Envoy was told of, has ACKed, and that answer. Before the ACK of a change no more than before it (I2). */
function countAvailable(model: ModelDocument, { cluster }: Scene): number {
  const serving = routedVersion(model)
  if (serving === undefined || model.route === undefined) return 0
  const next = model.route.next?.version === wantedVersion(model).version ? model.route.next.replicas : []
  const ready =
    model.route.replicas.filter((key) => isReady(model, serving, key, cluster)).length +
    next.filter((key) => isReady(model, wantedVersion(model), key, cluster)).length
  return model.route.ackedAtMs === undefined ? Math.min(ready, model.status.availableReplicas) : ready
}

interface Verdict {
  readonly state: ModelState
  readonly reason: string
  readonly retrying?: true
}

function decide(model: ModelDocument, available: number, scene: Scene): Verdict {
  if (model.deleted) return decideDeleted(model, scene)
  const count = wantedReplicas(model)
  if (count === 0)
    return { state: 'ModelScaledDown', reason: 'Scaled to zero by spec.replicas: raise it to serve again' }
  const wanted = wantedVersion(model)
  const other = stillServes(model, wanted)
  if (model.refused !== undefined)
    return {
      state: 'ModelFailed',
      reason: `Envoy refused the route: ${model.refused}. Change the model and apply it again${other}`,
    }
  const isServing = routedVersion(model) === wanted && model.availableSinceMs !== undefined
  const { minReplicas } = model.deployment
  if (isServing && (available >= count || (minReplicas > 0 && available >= minReplicas)))
    return { state: 'ModelAvailable', reason: availableReason(wanted, available, count) }
  const failure = failureOf(model, wanted, scene)
  if (failure !== undefined)
    return { state: 'ModelFailed', reason: `${failure.reason}${other}`, ...(failure.isFinal ? {} : { retrying: true }) }
  if (wanted.unplaced !== undefined)
    return { state: 'ScheduleFailed', reason: `${explain(wanted, count, wanted.unplaced)}${other}` }
  return { state: 'ModelProgressing', reason: `${progressOf(model, wanted, available, scene)}${other}` }
}

function decideDeleted(model: ModelDocument, { cluster }: Scene): Verdict {
  for (const version of model.versions) {
    const name = toInternalName(model.name, version.version)
    for (const key of cluster.observedReplicas(name)) {
      const observed = cluster.observed(key, name)
      if (observed?.state === 'UnloadFailed')
        return { state: 'ModelTerminateFailed', reason: `${key} could not unload ${name}: ${observed.reason}` }
    }
  }
  return { state: 'ModelTerminating', reason: 'Deleted: taken out of the routes, then unloaded' }
}

function availableReason(wanted: VersionDocument, available: number, count: number): string {
  const version = `Version ${String(wanted.version)}`
  if (available >= count) return `${version} serves on ${toList(wanted.assigned)}`
  const lack = wanted.unplaced === undefined ? '' : `: ${wanted.unplaced.reason}`
  return `${version} serves with ${String(available)} of ${String(count)} replicas, enough for minReplicas${lack}`
}

interface LoadFailure {
  readonly reason: string
  /** It is not tried again by itself. */
  readonly isFinal: boolean
}

function failureOf(
  model: ModelDocument,
  wanted: VersionDocument,
  { cluster, context }: Scene,
): LoadFailure | undefined {
  const failures = wanted.assigned.flatMap((key) => {
    const copy = copyOf(model.name, wanted, key, cluster)
    return copy.kind === 'failed' ? [{ key, copy }] : []
  })
  const newest = failures.toSorted((a, b) => b.copy.atMs - a.copy.atMs)[0]
  if (newest === undefined) return undefined
  const tries = `attempt ${String(newest.copy.attempt + 1)} of ${String(context.retry.maxAttempts)}`
  const isFinal = isExhausted(newest.copy, context.retry)
  const next = newest.copy.isHopeless
    ? 'not tried again: correct the model and apply it again'
    : isFinal
      ? `given up after ${String(newest.copy.attempt + 1)} attempts: correct the model and apply it again`
      : `${tries}, it is tried again by itself`
  const reason = `Version ${String(wanted.version)} failed to load on ${newest.key}: ${newest.copy.reason} (${next})`
  return { reason, isFinal }
}

function explain(wanted: VersionDocument, count: number, explanation: PlacementExplanation): string {
  const placed = wanted.assigned.length
  const servers = explanation.servers.map(({ server, detail }) => `${server}: ${detail}`).join('; ')
  const what = `Version ${String(wanted.version)} has a place for ${String(placed)} of ${String(count)} replicas`
  return `${what}: ${explanation.reason}${servers === '' ? '' : ` (${servers})`}`
}

/** The first thing that is still missing, and on whom it depends. */
function progressOf(model: ModelDocument, wanted: VersionDocument, available: number, scene: Scene): string {
  const { cluster, context } = scene
  const version = `Version ${String(wanted.version)}`
  if (wanted.assigned.length === 0) return `${version} is waiting to be placed`
  const absent = absences(wanted, scene)
  const loading = wanted.assigned.filter((key) => copyOf(model.name, wanted, key, cluster).kind !== 'loaded')
  const serves = `${version} serves with ${String(available)} of ${String(wantedReplicas(model))} replicas`
  if (available > 0 && routedVersion(model) === wanted && absent.length > 0) return `${serves}: ${absent.join('; ')}`
  if (loading.length > 0)
    return `${version} is loading on ${toList(loading)}${absent.map((one) => `; ${one}`).join('')}`
  if (absent.length > 0) return `${version} waits: ${absent.join('; ')}`
  if (routedVersion(model) !== wanted)
    return `${version} is loaded on ${toList(wanted.assigned)} and takes over when it has as many replicas as the old one`
  const acked = model.route === undefined ? false : context.isAcked(model.route.sinceRevision)
  if (acked === 'no-node')
    return `${version} is loaded, no Envoy connected that answers: start one that uses this scheduler, or see its log`
  const held = context.heldNodes()
  return held.length === 0
    ? `${version} is loaded and waits for Envoy's ACK of its route`
    : `${version} is loaded, but ${toList(held)} is sent nothing, because too many models that it has are unknown here: apply them, or start the scheduler with --force`
}

/** Which of its replicas are not there, and whether anything is done about it now. */
function absences(wanted: VersionDocument, { cluster, context }: Scene): readonly string[] {
  const absent = wanted.assigned.flatMap((key) => {
    const condition = conditionOf(cluster.replica(key), context.nowMs, context.replicaGraceMs)
    return condition.kind === 'serving' ? [] : [`${key} ${condition.reason}`]
  })
  if (absent.length === 0 || wanted.server === undefined || context.mayMove(wanted.server)) return absent
  return [...absent, `nothing moves before the expected replicas of server ${wanted.server} are there`]
}

function stillServes(model: ModelDocument, wanted: VersionDocument): string {
  const serving = routedVersion(model)
  return serving === undefined || serving === wanted ? '' : `; version ${String(serving.version)} keeps serving`
}

const toList = (keys: readonly string[]): string => keys.join(', ')
