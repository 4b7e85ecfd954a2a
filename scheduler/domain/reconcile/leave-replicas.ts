/**
 * I3: a copy that a route named is unloaded only after the route change is ACKed and the drain time has passed. Copies that no
 * route ever named are simply not desired any more.
 */
import { isHeld } from '../copy.ts'
import { NEXT_COMMIT, type ModelDocument, type ReplicaKey, type VersionDocument } from '../documents.ts'
import { toInternalName, compareReplicaKeys } from '../names.ts'
import type { Scene } from './context.ts'

type Leaving = VersionDocument['leaving']

/** Whatever `before`'s route named and `after` does not assign any more begins to leave; what is assigned again stays. */
export function beginLeaving(before: ModelDocument, after: ModelDocument): ModelDocument {
  const routeChanged = before.route?.version !== after.route?.version
  return {
    ...after,
    versions: after.versions.map((version) => {
      const named = namedReplicas(before, version.version)
      const gone = named.filter((key) => !version.assigned.includes(key))
      const staying = entriesOf(version.leaving).filter(([key]) => !version.assigned.includes(key))
      const fresh = { sinceRevision: NEXT_COMMIT, unloadAtMs: 0 }
      // What Envoy refused it never followed: it may still name the older copies, so they wait for the new route's ACK.
      const waitAgain = routeChanged && before.refused !== undefined
      const leaving = [
        ...staying.map(([key, entry]) => [key, waitAgain ? fresh : entry] as const),
        ...gone.map((key) => [key, fresh] as const),
      ]
      return { ...version, leaving: toLeaving(leaving) }
    }),
  }
}

/** Of this version, in what Envoy is told. */
function namedReplicas({ route }: ModelDocument, version: number): readonly ReplicaKey[] {
  if (route?.version === version) return route.replicas
  return route?.next?.version === version ? route.next.replicas : []
}

/** The ACK starts the drain time, the end of the drain time lets the copy go (I3). A refused route holds everything. */
export function continueLeaving(model: ModelDocument, { context }: Scene): ModelDocument {
  if (model.refused !== undefined) return model
  const started = (entry: Leaving[ReplicaKey]): Leaving[ReplicaKey] => {
    if (entry.unloadAtMs > 0 || entry.sinceRevision === NEXT_COMMIT) return entry
    const acked = context.isAcked(entry.sinceRevision)
    if (acked === false) return entry // I3
    const drainMs = acked === 'no-node' ? context.noNodeDrainTimeMs : context.drainTimeMs
    return { ...entry, unloadAtMs: context.nowMs + drainMs }
  }
  const isOver = (entry: Leaving[ReplicaKey]): boolean =>
    entry.unloadAtMs > 0 && context.nowMs >= entry.unloadAtMs && context.isAcked(entry.sinceRevision) !== false // I3
  return {
    ...model,
    versions: model.versions.map((version) => ({
      ...version,
      leaving: toLeaving(
        entriesOf(version.leaving)
          .map(([key, entry]) => [key, started(entry)] as const)
          .filter(([, entry]) => !isOver(entry)),
      ),
    })),
  }
}

/** Versions that nobody wants and no agent holds any more are forgotten. */
export function dropFinishedVersions(model: ModelDocument, scene: Scene): ModelDocument {
  const last = model.versions.length - 1
  return {
    ...model,
    versions: model.versions.filter(
      (version, index) =>
        index === last ||
        version.version === model.route?.version ||
        version.version === model.route?.next?.version ||
        isPresent(model, version, scene),
    ),
  }
}

/** Copies of this version exist, or shall exist, on replicas whose agents can be told. */
export function isPresent(model: ModelDocument, version: VersionDocument, { cluster }: Scene): boolean {
  if (version.assigned.length > 0 || entriesOf(version.leaving).length > 0) return true
  const name = toInternalName(model.name, version.version)
  return cluster
    .observedReplicas(name)
    .some((key) => cluster.replica(key)?.agent.kind === 'connected' && isHeld(cluster.observed(key, name)))
}

function entriesOf(leaving: Leaving): readonly (readonly [ReplicaKey, Leaving[ReplicaKey]])[] {
  return (Object.keys(leaving) as ReplicaKey[]).flatMap((key) => {
    const entry = leaving[key]
    return entry === undefined ? [] : [[key, entry] as const]
  })
}

function toLeaving(entries: readonly (readonly [ReplicaKey, Leaving[ReplicaKey]])[]): Leaving {
  return Object.fromEntries(entries.toSorted(([a], [b]) => compareReplicaKeys(a, b)))
}
