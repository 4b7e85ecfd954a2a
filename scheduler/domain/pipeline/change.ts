/** What applying, deleting and rolling back a Pipeline does to its record. Pure; whether it answers is the reconciler's. */
import { ServingError } from '../../../kit/errors.ts'
import {
  type KubernetesMeta,
  type PipelineDocument,
  type PipelineVersionDocument,
  SCHEMA_VERSION,
} from '../documents.ts'
import { sameValue } from '../same-value.ts'
import { settlePipeline, wantedPipelineVersion } from './facts.ts'

export const MAX_PIPELINE_VERSIONS = 10

/** A Pipeline that may be applied. */
export interface PipelineInput {
  readonly name: string
  readonly spec: PipelineVersionDocument['spec']
  readonly labels: Readonly<Record<string, string>>
  readonly kubernetesMeta?: KubernetesMeta
}

export type PipelineChange =
  | { readonly kind: 'unchanged'; readonly document: PipelineDocument }
  /** The same version: labels or metadata changed. */
  | { readonly kind: 'updated'; readonly document: PipelineDocument }
  | { readonly kind: 'newVersion'; readonly document: PipelineDocument; readonly version: number }

/**
 * `uid` is taken by the version that this makes, if it makes one. What is being deleted, or failed, comes back as a new version.
 */
export function applyPipeline(
  existing: PipelineDocument | undefined,
  input: PipelineInput,
  nowMs: number,
  uid: string,
): PipelineChange {
  const { labels, kubernetesMeta } = input
  if (existing === undefined) return createPipeline(input, nowMs, uid)
  const latest = wantedPipelineVersion(existing)
  const settled = settlePipeline(existing)
  const described = { ...settled, labels }
  const isOver = existing.deleted || existing.status.state === 'PipelineFailed'
  if (isOver || !sameValue(latest.spec, input.spec))
    return addVersion({ ...described, deleted: false }, input, nowMs, uid)
  const versions = [
    ...existing.versions.slice(0, -1),
    { ...latest, ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }) },
  ]
  const document = { ...described, versions }
  return sameValue(document, settled) ? { kind: 'unchanged', document: existing } : { kind: 'updated', document }
}

/** Marks a Pipeline for deletion; it ends when no gateway has it any more. Repeating it changes nothing. */
export function deletePipeline(pipeline: PipelineDocument, nowMs: number): PipelineDocument {
  if (pipeline.deleted) return pipeline
  const reason = 'Deleted: taken out of the routes, then given up by the gateways'
  return {
    ...settlePipeline(pipeline),
    deleted: true,
    status: { ...pipeline.status, state: 'PipelineTerminating', reason, changedAtMs: nowMs },
  }
}

/** Envoy refused the route: nothing follows it, so it is taken back until there is a new version. */
export function refusePipelineRoute(pipeline: PipelineDocument, reason: string): PipelineDocument {
  const { route: _, ...rest } = settlePipeline(pipeline)
  return { ...rest, refused: reason }
}

/** Makes a new version with an earlier version's spec; without `version`, the one before the latest. */
export function rollbackPipeline(
  pipeline: PipelineDocument,
  version: number | undefined,
  nowMs: number,
  uid: string,
): { readonly change: PipelineChange; readonly restoredVersion: number } {
  if (pipeline.deleted)
    throw new ServingError('VERSION_NOT_FOUND', `Pipeline ${pipeline.name} is being deleted: it cannot be rolled back.`)
  const latest = wantedPipelineVersion(pipeline)
  const earlier = pipeline.versions.slice(0, -1)
  const target = version === undefined ? earlier.at(-1) : earlier.find((entry) => entry.version === version)
  if (target === undefined) {
    const wish = version === undefined ? 'go back' : `go back to version ${String(version)}`
    const kept = earlier.map((entry) => String(entry.version)).join(', ')
    const choice = kept === '' ? 'it has no earlier version' : `it can go back to ${kept}`
    throw new ServingError('VERSION_NOT_FOUND', `Pipeline ${pipeline.name} cannot ${wish}: ${choice}.`)
  }
  const restoredVersion = target.version
  if (sameValue(target.spec, latest.spec)) return { change: { kind: 'unchanged', document: pipeline }, restoredVersion }
  const { kubernetesMeta } = latest
  const input = { spec: target.spec, ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }) }
  return { change: addVersion(settlePipeline(pipeline), input, nowMs, uid), restoredVersion }
}

function addVersion(
  pipeline: PipelineDocument,
  input: Pick<PipelineInput, 'spec' | 'kubernetesMeta'>,
  nowMs: number,
  uid: string,
): PipelineChange {
  const { refused: _, ...accepted } = pipeline
  const added = toVersion(wantedPipelineVersion(pipeline).version + 1, input, nowMs, uid)
  return {
    kind: 'newVersion',
    version: added.version,
    document: { ...accepted, versions: [...newestVersions(pipeline), added] },
  }
}

/** As many as leave room for one more; the one that serves is always among them (I4). */
function newestVersions({ versions, serving }: PipelineDocument): readonly PipelineVersionDocument[] {
  const surplus = versions.length + 1 - MAX_PIPELINE_VERSIONS
  const gone = versions.filter(({ version }) => version !== serving).slice(0, Math.max(0, surplus))
  return versions.filter((version) => !gone.includes(version))
}

function createPipeline(input: PipelineInput, nowMs: number, uid: string): PipelineChange {
  const document: PipelineDocument = {
    schemaVersion: SCHEMA_VERSION,
    revision: 0,
    name: input.name,
    labels: input.labels,
    deleted: false,
    versions: [toVersion(1, input, nowMs, uid)],
    status: { state: 'PipelineCreate', reason: 'Accepted', missingModels: [], changedAtMs: nowMs },
  }
  return { kind: 'newVersion', document, version: 1 }
}

const toVersion = (
  version: number,
  { spec, kubernetesMeta }: Pick<PipelineInput, 'spec' | 'kubernetesMeta'>,
  atMs: number,
  uid: string,
): PipelineVersionDocument => ({
  version,
  uid,
  spec,
  ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
  atMs,
})
