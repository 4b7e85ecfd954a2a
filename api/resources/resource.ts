/** Any resource: checked at the edge, once, with every problem at once. */
import type { TSchema } from 'typebox'
import { issuesError } from '../../kit/errors.ts'
import { checkFields, type FieldIssue, formatPath, isMapping } from './check.ts'
import { type ExperimentSpec, ExperimentSchema } from './experiment.ts'
import { API_VERSION, type Metadata } from './metadata.ts'
import { type ModelManifestSpec, ModelSchema, modelWarnings } from './model.ts'
import { nearest } from './nearest.ts'
import { type PipelineSpec, PipelineSchema } from './pipeline.ts'
import { type ServerManifestSpec, ServerSchema, serverWarnings } from './server.ts'

export const KINDS = ['Model', 'Server', 'Pipeline', 'Experiment'] as const
export type Kind = (typeof KINDS)[number]
/** For messages. */
export const KNOWN_KINDS = 'Model, Server, Pipeline or Experiment'

interface ResourceOf<K extends Kind, Spec> {
  readonly apiVersion: typeof API_VERSION
  readonly kind: K
  readonly metadata: Metadata
  readonly spec: Spec
}
export type ModelResource = ResourceOf<'Model', ModelManifestSpec>
export type ServerResource = ResourceOf<'Server', ServerManifestSpec>
export type PipelineResource = ResourceOf<'Pipeline', PipelineSpec>
export type ExperimentResource = ResourceOf<'Experiment', ExperimentSpec>
export type Resource = ModelResource | ServerResource | PipelineResource | ExperimentResource

const SCHEMAS: Readonly<Record<Kind, TSchema>> = {
  Model: ModelSchema,
  Server: ServerSchema,
  Pipeline: PipelineSchema,
  Experiment: ExperimentSchema,
}
const UNKEPT_METADATA = ['annotations', 'finalizers', 'generateName', 'ownerReferences'] as const

export type CheckResult =
  | { readonly kind: 'resource'; readonly resource: Resource }
  | { readonly kind: 'refused'; readonly issues: readonly FieldIssue[] }

/** Everything wrong with `raw`, or the resource that it is. `status` is dropped: it is never desired state. */
export function checkResource(raw: unknown): CheckResult {
  const kind = isMapping(raw) ? KINDS.find((known) => known === raw['kind']) : undefined
  if (!isMapping(raw) || kind === undefined) return { kind: 'refused', issues: kindIssues(raw) }
  const issues = checkFields(SCHEMAS[kind], raw)
  if (issues.length > 0) return { kind: 'refused', issues }
  const { status: _status, ...resource } = raw
  return { kind: 'resource', resource: resource as unknown as Resource } // the schema has just proved it
}

function kindIssues(raw: unknown): readonly FieldIssue[] {
  if (!isMapping(raw)) return [{ path: [], message: `must be a mapping with apiVersion, kind, metadata and spec` }]
  const found = raw['kind']
  if (found === undefined) return [{ path: ['kind'], message: `is required; use ${KNOWN_KINDS}` }]
  const suggestion = typeof found === 'string' ? nearest(found, KINDS) : undefined
  const hint = suggestion === undefined ? `use ${KNOWN_KINDS}` : `did you mean ${suggestion}?`
  return [{ path: ['kind'], message: `${JSON.stringify(found)} is not a kind of this version; ${hint}` }]
}

/** @throws ServingError MANIFEST_INVALID listing every problem by its path. */
export function parseResource(raw: unknown): Resource {
  const result = checkResource(raw)
  if (result.kind === 'resource') return result.resource
  const issues = result.issues.map((issue) => ({ path: formatPath(issue.path), message: issue.message }))
  throw issuesError('MANIFEST_INVALID', subjectOf(raw), issues)
}

/** `Model iris`, as far as it can be said. */
export function subjectOf(raw: unknown): string {
  if (!isMapping(raw)) return 'resource'
  const { kind, metadata } = raw
  const name = isMapping(metadata) ? metadata['name'] : undefined
  return [typeof kind === 'string' ? kind : 'resource', ...(typeof name === 'string' ? [name] : [])].join(' ')
}

/** Fields that are declared and do nothing, as `path: why`: accepted, but never in silence. */
export function warningsOf(resource: Resource): readonly string[] {
  const metadata = UNKEPT_METADATA.filter((field) => resource.metadata[field] !== undefined).map(
    (field) => `metadata.${field}: is not kept`,
  )
  switch (resource.kind) {
    case 'Model':
      return [...metadata, ...modelWarnings(resource.spec)]
    case 'Server':
      return [...metadata, ...serverWarnings(resource.spec)]
    case 'Pipeline':
    case 'Experiment':
      return metadata
  }
}
