/** Small questions about one model document, asked in several places. */
import { NEXT_COMMIT, type ModelDocument, type ReplicaKey, type VersionDocument } from './documents.ts'
import { sameValue } from './same-value.ts'

/** What users want: the last version. A record always has one. */
export function wantedVersion(model: ModelDocument): VersionDocument {
  const version = model.versions.at(-1)
  if (version === undefined) throw new RangeError(`model ${model.name} has no version`)
  return version
}

/** The version that Envoy is told of. */
export function routedVersion(model: ModelDocument): VersionDocument | undefined {
  return model.versions.find((version) => version.version === model.route?.version)
}

/** The commit that made something: a model read from the store settles what was written as NEXT_COMMIT. */
export function sinceRevisionOf(model: ModelDocument, recorded: number): number {
  return recorded === NEXT_COMMIT ? model.revision : recorded
}

/** Replaces NEXT_COMMIT by the revision that the store gave; the first step of every change, or it would move on. */
export function settleRevisions(model: ModelDocument): ModelDocument {
  const pending = (since: number): boolean => since === NEXT_COMMIT
  const leavingPending = model.versions.some((version) =>
    Object.values(version.leaving).some((leaving) => pending(leaving.sinceRevision)),
  )
  if (!leavingPending && (model.route === undefined || !pending(model.route.sinceRevision))) return model
  const settled = <T extends { readonly sinceRevision: number }>(entry: T): T => ({
    ...entry,
    sinceRevision: sinceRevisionOf(model, entry.sinceRevision),
  })
  return {
    ...model,
    ...(model.route === undefined ? {} : { route: settled(model.route) }),
    versions: model.versions.map((version) => ({
      ...version,
      leaving: Object.fromEntries(Object.entries(version.leaving).map(([key, leaving]) => [key, settled(leaving)])),
    })),
  }
}

/** Whether an ACK would let this model go on: its route is not ACKed yet, or a copy may not leave before. */
export function isAwaitingAck(model: ModelDocument): boolean {
  if (model.route !== undefined && model.route.ackedAtMs === undefined) return true
  return model.versions.some((version) => Object.values(version.leaving).some(({ unloadAtMs }) => unloadAtMs === 0))
}

export function isUnplaced(model: ModelDocument): boolean {
  return model.versions.some((version) => version.unplaced !== undefined)
}

/** A move that failed this often no longer counts against the budget, or broken models would block all others. */
const MOVE_ATTEMPTS = 2

/** It serves and loads what it serves elsewhere as well: a replica is being replaced, or all go to another server. */
export function isMoving(model: ModelDocument): boolean {
  const routed = routedVersion(model)
  if (routed === undefined || model.route === undefined || model.deleted) return false
  const wanted = wantedVersion(model)
  const isPending = (version: VersionDocument, replica: ReplicaKey): boolean =>
    model.route?.replicas.includes(replica) !== true && (version.attempts[replica] ?? 0) < MOVE_ATTEMPTS
  if (wanted === routed)
    return (
      wanted.assigned.length > wantedReplicas(model) && wanted.assigned.some((replica) => isPending(wanted, replica))
    )
  return sameValue(wanted.spec, routed.spec) && wanted.assigned.some((replica) => isPending(wanted, replica))
}

export function wantedReplicas(model: ModelDocument): number {
  return model.deleted ? 0 : model.deployment.replicas
}
