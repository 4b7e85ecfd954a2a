/**
 * What applying, deleting and rolling back a Model does to its record. Only what users asked for changes here; where it runs is
 * the reconciler's. A change of the spec makes a new version; a change of the rest keeps it.
 */
import { ServingError } from '../../kit/errors.ts'
import {
  SCHEMA_VERSION,
  type KubernetesMeta,
  type ModelDocument,
  type ModelSpec,
  type ReplicaKey,
  type VersionDocument,
} from './documents.ts'
import { settleRevisions, wantedVersion } from './model-facts.ts'
import { sameValue } from './same-value.ts'
import type { ModelInput } from './validate.ts'

export const MAX_HISTORY = 10

export type ModelChange =
  | { readonly kind: 'unchanged'; readonly document: ModelDocument }
  /** The same version: deployment, metadata or labels changed, or a failed load is tried again. */
  | { readonly kind: 'updated'; readonly document: ModelDocument }
  | { readonly kind: 'newVersion'; readonly document: ModelDocument; readonly version: number }

/**
 * Applies a checked Model. `lowestFreeVersion` (of the cluster state) keeps a new record clear of versions that agents still
 * hold from an earlier record of the same name. Throws MODEL_TERMINATING while the earlier record is being deleted.
 */
export function applyModel(
  existing: ModelDocument | undefined,
  input: ModelInput,
  nowMs: number,
  lowestFreeVersion = 1,
): ModelChange {
  if (existing === undefined) return createModel(input, nowMs, lowestFreeVersion, 0)
  if (existing.deleted) {
    if (!isInactive(existing))
      throw new ServingError(
        'MODEL_TERMINATING',
        `Model ${input.name} is still being deleted (${existing.status.state}): apply it again when it is gone.`,
      )
    return createModel(input, nowMs, lowestFreeVersion, existing.revision)
  }
  const latest = wantedVersion(existing)
  const described = withDescription(settleRevisions(existing), input)
  if (!sameValue(latest.spec, input.spec)) return addVersion(described, input.spec, input.kubernetesMeta, nowMs)
  const document = withKubernetesMeta(withAnotherAttempt(described), input.kubernetesMeta)
  return sameValue(document, settleRevisions(existing))
    ? { kind: 'unchanged', document: existing }
    : { kind: 'updated', document }
}

/** Marks a Model for deletion; it ends when every replica has unloaded it. Repeating it changes nothing. */
export function deleteModel(model: ModelDocument, nowMs: number, kubernetesMeta?: KubernetesMeta): ModelDocument {
  const settled = withKubernetesMeta(settleRevisions(model), kubernetesMeta)
  if (model.deleted) return sameValue(settled, settleRevisions(model)) ? model : settled
  return {
    ...settled,
    deleted: true,
    status: {
      ...settled.status,
      state: 'ModelTerminating',
      reason: 'Deleted: taken out of the routes, then unloaded',
      changedAtMs: nowMs,
    },
  }
}

/** Makes a new version with an earlier version's spec; without `version`, the one before the latest. */
export function rollbackModel(model: ModelDocument, version: number | undefined, nowMs: number): ModelChange {
  if (model.deleted)
    throw new ServingError('MODEL_TERMINATING', `Model ${model.name} is being deleted: it cannot be rolled back.`)
  const latest = wantedVersion(model)
  const earlier = model.history.filter((entry) => entry.version !== latest.version)
  const target = version === undefined ? earlier.at(-1) : earlier.find((entry) => entry.version === version)
  if (target === undefined) {
    const wish = version === undefined ? 'go back' : `go back to version ${String(version)}`
    const kept = earlier.map((entry) => String(entry.version)).join(', ')
    const choice = kept === '' ? 'it has no earlier version' : `it can go back to ${kept}`
    throw new ServingError('VERSION_NOT_FOUND', `Model ${model.name} cannot ${wish}: ${choice}.`)
  }
  if (sameValue(target.spec, latest.spec)) return { kind: 'unchanged', document: model }
  return addVersion(settleRevisions(model), target.spec, latest.kubernetesMeta, nowMs)
}

/** Envoy refused the model's route: nothing that served before is unloaded, and nothing switches until a new version comes. */
export function refuseRoute(model: ModelDocument, reason: string): ModelDocument {
  return { ...settleRevisions(model), refused: reason }
}

/** Adds a version; also used when a model must move to another server, since one version never spans two. */
export function addVersion(
  model: ModelDocument,
  spec: ModelSpec,
  kubernetesMeta: KubernetesMeta | undefined,
  nowMs: number,
): ModelChange & { readonly kind: 'newVersion' } {
  const version = wantedVersion(model).version + 1
  const { refused: _, ...accepted } = model
  return {
    kind: 'newVersion',
    version,
    document: {
      ...accepted,
      versions: [...model.versions, newVersion(version, spec, kubernetesMeta)],
      history: [...model.history, { version, spec, atMs: nowMs }].slice(-MAX_HISTORY),
    },
  }
}

function createModel(input: ModelInput, nowMs: number, lowestFreeVersion: number, revision: number): ModelChange {
  const version = Math.max(1, input.kubernetesMeta?.generation ?? 0, lowestFreeVersion)
  const document: ModelDocument = {
    schemaVersion: SCHEMA_VERSION,
    revision,
    name: input.name,
    deployment: input.deployment,
    labels: input.labels,
    deleted: false,
    versions: [newVersion(version, input.spec, input.kubernetesMeta)],
    history: [{ version, spec: input.spec, atMs: nowMs }],
    status: {
      state: 'ModelProgressing',
      reason: 'Accepted, not placed yet',
      availableReplicas: 0,
      unavailableReplicas: input.deployment.replicas,
      changedAtMs: nowMs,
    },
  }
  return { kind: 'newVersion', document, version }
}

function newVersion(version: number, spec: ModelSpec, kubernetesMeta: KubernetesMeta | undefined): VersionDocument {
  return {
    version,
    spec,
    ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
    assigned: [],
    attempts: {},
    leaving: {},
  }
}

/** Something that Envoy refused gets another chance once anything about it changes. */
function withDescription(model: ModelDocument, input: ModelInput): ModelDocument {
  const { refused, ...accepted } = { ...model, deployment: input.deployment, labels: input.labels }
  const isSame = refused === undefined || sameValue(model.deployment, input.deployment)
  return isSame && refused !== undefined ? { ...accepted, refused } : accepted
}

function withKubernetesMeta(model: ModelDocument, kubernetesMeta: KubernetesMeta | undefined): ModelDocument {
  if (kubernetesMeta === undefined) return model
  return withWanted(model, { ...wantedVersion(model), kubernetesMeta })
}

/** Applying a failed model again, even unchanged, asks once more for every copy; `attempts` never shrinks. */
function withAnotherAttempt(model: ModelDocument): ModelDocument {
  if (model.status.state !== 'ModelFailed') return model
  const { hopeless = [], ...wanted } = wantedVersion(model)
  const failed = new Set([...(Object.keys(wanted.attempts) as ReplicaKey[]), ...hopeless])
  const attempts = Object.fromEntries(
    [...failed]
      .filter((replica) => wanted.assigned.includes(replica))
      .map((replica) => [replica, (wanted.attempts[replica] ?? 0) + 1]),
  )
  return withWanted(model, { ...wanted, attempts })
}

function withWanted(model: ModelDocument, wanted: VersionDocument): ModelDocument {
  return { ...model, versions: [...model.versions.slice(0, -1), wanted] }
}

/** Every copy has been unloaded, or its agent could not: a new record may take the name. */
function isInactive(model: ModelDocument): boolean {
  return model.status.state === 'ModelTerminated' || model.status.state === 'ModelTerminateFailed'
}
