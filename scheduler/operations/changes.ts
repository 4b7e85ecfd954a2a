/** What API calls write: plans over the documents in memory, for the writer. Pure. */
import { ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { type KubernetesMeta, type ModelDocument, SCHEMA_VERSION, type ServerDocument } from '../domain/documents.ts'
import { applyModel, deleteModel, type ModelChange, rollbackModel } from '../domain/model-change.ts'
import { sameValue } from '../domain/same-value.ts'
import type { Write } from '../domain/store.ts'
import type { ModelInput, ServerInput } from '../domain/validate.ts'
import type { Plan } from '../loop/writer.ts'
import { isMassRemoval } from '../routing/removal-guard.ts'
import { refuseInUse } from './in-use.ts'

export function planApplyModel(cluster: ClusterState, input: ModelInput, nowMs: number): Plan<ModelChange> {
  const existing = cluster.model(input.name)
  const change = applyModel(existing, input, nowMs, cluster.lowestFreeVersion(input.name))
  return { writes: change.kind === 'unchanged' ? [] : [writeModel(existing, change.document)], answer: change }
}

/** @throws ServingError MODEL_NOT_FOUND, or IN_USE by an experiment */
export function planDeleteModel(
  cluster: ClusterState,
  name: string,
  nowMs: number,
  kubernetesMeta?: KubernetesMeta,
): Plan<undefined> {
  const existing = requireModel(cluster, name)
  refuseInUse(cluster, 'model', name)
  const document = deleteModel(existing, nowMs, kubernetesMeta)
  return { writes: document === existing ? [] : [writeModel(existing, document)], answer: undefined }
}

export interface RolledBack {
  readonly fromVersion: number
  readonly restoredVersion: number
  readonly newVersion: number
}

/** `version` undefined: the one before the latest. @throws ServingError MODEL_NOT_FOUND or VERSION_NOT_FOUND */
export function planRollback(
  cluster: ClusterState,
  name: string,
  version: number | undefined,
  nowMs: number,
): Plan<RolledBack> {
  const existing = requireModel(cluster, name)
  const fromVersion = existing.versions.at(-1)?.version ?? 0
  const change = rollbackModel(existing, version, nowMs)
  const earlier = existing.history.filter((entry) => entry.version !== fromVersion).at(-1)
  return {
    writes: change.kind === 'unchanged' ? [] : [writeModel(existing, change.document)],
    answer: {
      fromVersion,
      restoredVersion: version ?? earlier?.version ?? fromVersion,
      newVersion: change.kind === 'newVersion' ? change.version : fromVersion,
    },
  }
}

export type ServerOutcome = 'created' | 'changed' | 'unchanged'

/** Who says nothing of the manifest or of the data path keeps what is there; whether a server is shared is said once. */
export function planApplyServer(cluster: ClusterState, input: ServerInput): Plan<ServerOutcome> {
  const existing = cluster.server(input.name)
  const { dataPath: told, ...rest } = input
  const dataPath = told ?? existing?.dataPath ?? 'direct'
  const document: ServerDocument = {
    ...(existing?.manifest === undefined ? {} : { manifest: existing.manifest }),
    ...(existing?.kubernetesMeta === undefined ? {} : { kubernetesMeta: existing.kubernetesMeta }),
    ...rest,
    ...(dataPath === 'direct' ? {} : { dataPath }),
    shared: existing?.shared ?? input.shared,
    schemaVersion: SCHEMA_VERSION,
    revision: existing?.revision ?? 0,
  }
  if (sameValue(existing, document)) return { writes: [], answer: 'unchanged' }
  const write: Write = { kind: 'server', name: input.name, expectedRevision: document.revision, document }
  return { writes: [write], answer: existing === undefined ? 'created' : 'changed' }
}

/** @throws ServingError SERVER_NOT_FOUND */
export function planDeleteServer(cluster: ClusterState, name: string): Plan<undefined> {
  const existing = cluster.server(name)
  if (existing === undefined)
    throw new ServingError(
      'SERVER_NOT_FOUND',
      cluster.replicasOf(name).length > 0
        ? `server ${name} was never applied: it is there as long as its agents connect`
        : `server ${name} does not exist`,
    )
  const expectedRevision = existing.revision
  return { writes: [{ kind: 'server', name, expectedRevision, document: undefined }], answer: undefined }
}

/**
 * I9: more than a fifth of all routes does not go at once unless that is said to be meant.
 * @throws ServingError REMOVAL_REFUSED
 */
export function refuseMassRemoval(cluster: ClusterState, name: string): void {
  if (cluster.model(name)?.route === undefined) return
  const leaving = new Set([...cluster.modelsBeingRemoved(), name])
  const stayed = [...leaving].filter((model) => cluster.model(model)?.route !== undefined).length
  const routes = cluster.routeCount() + leaving.size - stayed // before any of them was deleted
  if (!isMassRemoval(leaving.size, routes)) return
  throw new ServingError(
    'REMOVAL_REFUSED',
    `deleting ${name} as well would remove ${String(leaving.size)} of ${String(routes)} routes at once: use --force, or ask again when the others are gone`,
  )
}

/**
 * The same for pipelines, whose routes are as many as they are.
 * @throws ServingError REMOVAL_REFUSED
 */
export function refuseMassPipelineRemoval(cluster: ClusterState, name: string): void {
  if (cluster.pipeline(name)?.route === undefined) return
  const pending = [...cluster.pendingPipelines()].map((key) => key.slice(key.indexOf('/') + 1))
  const leaving = new Set([...pending.filter((one) => cluster.pipeline(one)?.deleted === true), name])
  if (!isMassRemoval(leaving.size, cluster.pipelineCount())) return
  throw new ServingError(
    'REMOVAL_REFUSED',
    `deleting ${name} as well would remove ${String(leaving.size)} of ${String(cluster.pipelineCount())} pipelines at once: use --force, or ask again when the others are gone`,
  )
}

function requireModel(cluster: ClusterState, name: string): ModelDocument {
  const model = cluster.model(name)
  if (model === undefined) throw new ServingError('MODEL_NOT_FOUND', `model ${JSON.stringify(name)} does not exist`)
  return model
}

const writeModel = (existing: ModelDocument | undefined, document: ModelDocument): Write => ({
  kind: 'model',
  name: document.name,
  expectedRevision: existing?.revision ?? 0,
  document,
})
