/**
 * Takes replicas away from a version: those beyond what is wanted, those that have been replaced, and those that drain
 * while there is no other place, when enough of the others serve.
 * I1, I3: a replica that still answers keeps its place until Envoy has ACKed a route with its replacement.
 * I4: the last replica that a route names is never taken away for nothing.
 */
import { copyOf, isReady } from '../copy.ts'
import type { ModelDocument, ReplicaKey, VersionDocument } from '../documents.ts'
import { routedVersion, wantedReplicas, wantedVersion } from '../model-facts.ts'
import { compareReplicaKeys } from '../names.ts'
import type { Scene } from './context.ts'
import { divide, withVersion } from './place-version.ts'
import { rollingCounts } from './rolling-update.ts'

export function trimVersion(model: ModelDocument, version: VersionDocument, scene: Scene): ModelDocument {
  const { counted, replaceable } = divide(model, version, scene)
  const isServing = routedVersion(model) === version && wantedVersion(model) !== version
  const count = (isServing ? rollingCounts(model, scene.cluster)?.serving : undefined) ?? wantedReplicas(model)
  const kept = keepBest(model, version, counted, count, scene)
  const retained = retain(model, version, [...replaceable.keys()], kept, scene)
  const assigned = [...kept, ...retained].toSorted(compareReplicaKeys)
  return assigned.length === version.assigned.length ? model : withVersion(model, { ...version, assigned })
}

/** As many as are wanted, once so many are ready: until then whichever is ready first shall serve. */
function keepBest(
  model: ModelDocument,
  version: VersionDocument,
  counted: readonly ReplicaKey[],
  count: number,
  scene: Scene,
): readonly ReplicaKey[] {
  const usefulness = rankOf(model, version, scene)
  const ranked = counted.toSorted((a, b) => usefulness(a) - usefulness(b) || compareReplicaKeys(a, b))
  const best = ranked.slice(0, count)
  return best.every((key) => isReady(model, version, key, scene.cluster)) ? best : ranked
}

/**
 * Which of the replaced replicas stay until their replacements carry the traffic. One that drains ends in any case: where no
 * replacement can be had, it waits for no more than there are.
 */
function retain(
  model: ModelDocument,
  version: VersionDocument,
  replaceable: readonly ReplicaKey[],
  kept: readonly ReplicaKey[],
  { cluster, context }: Scene,
): readonly ReplicaKey[] {
  const count = wantedReplicas(model)
  const attainable = version.unplaced === undefined ? count : Math.min(count, Math.max(1, kept.length))
  const routed = routedVersion(model) === version ? (model.route?.replicas ?? []) : []
  const isServing = (key: ReplicaKey): boolean => isReady(model, version, key, cluster)
  const ready = kept.filter(isServing)
  const isRouteAcked =
    model.route !== undefined &&
    (model.route.ackedAtMs !== undefined || context.isAcked(model.route.sinceRevision) === 'no-node')
  const acked = isRouteAcked ? ready.filter((key) => routed.includes(key)) : []
  const rank = (key: ReplicaKey): number => (routed.includes(key) ? 0 : 2) + (isServing(key) ? 0 : 1)
  const retained: ReplicaKey[] = []
  for (const key of replaceable.toSorted((a, b) => rank(a) - rank(b) || compareReplicaKeys(a, b))) {
    const replacements = !routed.includes(key) ? kept : isServing(key) ? acked : ready // I1: an answering one waits for the ACK
    const needed = cluster.replica(key)?.draining === true ? attainable : count
    if (replacements.length + retained.length < needed) retained.push(key)
  }
  return retained
}

/** What is worth keeping first: carries traffic, could carry it, loads, waits, failed. */
function rankOf(model: ModelDocument, version: VersionDocument, { cluster }: Scene): (key: ReplicaKey) => number {
  const routed = routedVersion(model) === version ? (model.route?.replicas ?? []) : []
  return (key) => {
    if (isReady(model, version, key, cluster)) return routed.includes(key) ? 0 : 1
    switch (copyOf(model.name, version, key, cluster).kind) {
      case 'loaded':
        return 2
      case 'loading':
        return 3
      case 'requested':
        return 4
      case 'failed':
        return 5
    }
  }
}
