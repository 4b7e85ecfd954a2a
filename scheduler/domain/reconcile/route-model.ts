/**
 * Decides what Envoy is told of a model.
 * I1: only loaded copies on servers that answer enter a route. I4: a version that is not ready never changes what serves.
 * I5: the old version serves until the new one has min(desired, what the old one had). Until then the new one has nothing or,
 * in a rolling update (`rollingUpdate`), traffic in proportion to its ready replicas.
 */
import { copyOf, isReady } from '../copy.ts'
import { routedDataPath } from '../data-path.ts'
import {
  NEXT_COMMIT,
  type ModelDocument,
  type NextRouteDocument,
  type ReplicaKey,
  type RouteDocument,
  type VersionDocument,
} from '../documents.ts'
import { routedVersion, wantedReplicas, wantedVersion } from '../model-facts.ts'
import { compareReplicaKeys } from '../names.ts'
import { sameValue } from '../same-value.ts'
import { isSentTo } from '../experiment/sent-to.ts'
import type { Scene } from './context.ts'
import { withVersion } from './place-version.ts'
import { rollingCounts } from './rolling-update.ts'

/** The model with the route that it should have now; versions that no longer serve and are not wanted lose their replicas. */
export function routeModel(model: ModelDocument, scene: Scene): ModelDocument {
  if (wantedReplicas(model) === 0) {
    if (isSentTo(model.name, scene.cluster)) return model // I1: an experiment stops naming it first
    return releaseSuperseded(withRoute(model, undefined, [], scene))
  }
  const reverted = revertRefused(model, scene)
  if (reverted !== undefined) return reverted
  const wanted = wantedVersion(model)
  const serving = routedVersion(model)
  const ready = readyReplicas(model, wanted, scene)
  if (serving === undefined)
    return releaseSuperseded(ready.length === 0 ? model : withRoute(model, wanted, ready, scene))
  if (serving !== wanted && model.refused === undefined && ready.length >= neededToSwitch(model, serving, scene))
    return releaseSuperseded(withRoute(model, wanted, ready, scene)) // I5
  const next = serving === wanted ? undefined : nextRoute(model, wanted, ready, scene)
  return releaseSuperseded(withRoute(model, serving, servingReplicas(model, serving, scene), scene, next)) // I4
}

/** Min(desired, what the old one had); one is enough when the old one answers nowhere. */
function neededToSwitch(model: ModelDocument, serving: VersionDocument, scene: Scene): number {
  const had = model.route?.replicas.length ?? 0
  const isAnswered = readyReplicas(model, serving, scene).length > 0
  if (!isAnswered) return 1
  return rollingCounts(model, scene.cluster)?.needed ?? Math.max(1, Math.min(wantedReplicas(model), had))
}

/** Its share of a rolling update. A copy that is away stays named, without weight, so that it leaves as it came (I3). */
function nextRoute(
  model: ModelDocument,
  wanted: VersionDocument,
  ready: readonly ReplicaKey[],
  { cluster }: Scene,
): NextRouteDocument | undefined {
  if (rollingCounts(model, cluster) === undefined) return undefined
  const before = model.route?.next?.version === wanted.version ? model.route.next.replicas : []
  const staying = before.filter(
    (key) => wanted.assigned.includes(key) && copyOf(model.name, wanted, key, cluster).kind !== 'failed',
  )
  const replicas = [...new Set([...staying, ...ready])].toSorted(compareReplicaKeys)
  if (replicas.length === 0) return undefined
  const dataPath = routedDataPath(model, wanted, replicas, cluster)
  return { version: wanted.version, replicas, ...(dataPath === 'direct' ? {} : { dataPath }), weight: ready.length }
}

/** A replica that is away stays named (EDS marks it unhealthy); one where the version failed leaves if others serve. */
function servingReplicas(model: ModelDocument, version: VersionDocument, scene: Scene): readonly ReplicaKey[] {
  const named = model.route?.replicas ?? []
  const staying = named.filter(
    (key) => version.assigned.includes(key) && copyOf(model.name, version, key, scene.cluster).kind !== 'failed',
  )
  const next = [...new Set([...staying, ...readyReplicas(model, version, scene)])]
  return next.length > 0 ? next : named // I4: never without a route while something may serve again
}

/** Envoy refused the new version's route and still follows the old one: say so ourselves while its copies are there. */
function revertRefused(model: ModelDocument, scene: Scene): ModelDocument | undefined {
  if (model.refused === undefined || routedVersion(model) !== wantedVersion(model)) return undefined
  for (const version of model.versions.slice(0, -1).toReversed()) {
    const copies = (Object.keys(version.leaving) as ReplicaKey[]).filter((key) =>
      isReady(model, version, key, scene.cluster),
    )
    if (copies.length === 0) continue
    const restored = { ...version, assigned: copies.toSorted(compareReplicaKeys) }
    return withRoute(withVersion(model, restored), restored, restored.assigned, scene)
  }
  return undefined
}

function readyReplicas(model: ModelDocument, version: VersionDocument, { cluster }: Scene): readonly ReplicaKey[] {
  return version.assigned.filter((key) => isReady(model, version, key, cluster))
}

function withRoute(
  model: ModelDocument,
  version: VersionDocument | undefined,
  replicas: readonly ReplicaKey[],
  { cluster }: Scene,
  shared?: NextRouteDocument,
): ModelDocument {
  const { route, availableSinceMs, ...rest } = model
  if (version === undefined) return rest
  const sorted = replicas.toSorted(compareReplicaKeys)
  const dataPath = routedDataPath(model, version, sorted, cluster)
  const isSamePath = dataPath === (route?.dataPath ?? 'direct')
  const isRolling = version !== wantedVersion(model) && rollingCounts(model, cluster) !== undefined
  const had = isRolling ? (route?.had ?? route?.replicas.length) : undefined
  const isSame = route?.version === version.version && isSamePath && sameValue(route.replicas, sorted)
  if (isSame && sameValue(route.next, shared) && route.had === had) return model
  const next: RouteDocument = {
    version: version.version,
    replicas: sorted,
    ...(dataPath === 'direct' ? {} : { dataPath }),
    ...(shared === undefined ? {} : { next: shared }),
    ...(had === undefined ? {} : { had }),
    sinceRevision: NEXT_COMMIT,
  }
  const isSameVersion = route?.version === version.version && availableSinceMs !== undefined
  return { route: next, ...(isSameVersion ? { availableSinceMs } : {}), ...rest } // I2: a switched version is not Available yet
}

/** Only the wanted version and the one that serves need replicas; with none wanted, no version does. */
function releaseSuperseded(model: ModelDocument): ModelDocument {
  const needed = wantedReplicas(model) === 0 ? [] : [wantedVersion(model).version, model.route?.version]
  return {
    ...model,
    versions: model.versions.map((version) => {
      if (needed.includes(version.version) || version.assigned.length === 0) return version
      return { ...version, assigned: [] }
    }),
  }
}
