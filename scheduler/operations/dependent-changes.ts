/** What API calls about pipelines and experiments write: plans over the documents in memory, for the writer. Pure. */
import { validatePipeline } from '../../dataflow/plan/validate.ts'
import type { ExperimentResource, PipelineResource } from '../../api/resources/resource.ts'
import { type Issue, issuesError, ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { ExperimentDocument, KubernetesMeta, PipelineDocument } from '../domain/documents.ts'
import {
  applyExperiment,
  deleteExperiment,
  type ExperimentChange,
  type ExperimentInput,
  holderOfDefault,
} from '../domain/experiment/change.ts'
import {
  applyPipeline,
  deletePipeline,
  type PipelineChange,
  type PipelineInput,
  rollbackPipeline,
} from '../domain/pipeline/change.ts'
import { wantedPipelineVersion } from '../domain/pipeline/facts.ts'
import type { Write } from '../domain/store.ts'
import type { Plan } from '../loop/writer.ts'
import type { RolledBack } from './changes.ts'
import { refuseInUse } from './in-use.ts'

/** When, and the uid of the version that may be made. */
export interface Moment {
  readonly nowMs: number
  readonly uid: string
}

export function toPipelineInput({ metadata, spec }: PipelineResource, kubernetesMeta?: KubernetesMeta): PipelineInput {
  const { name, labels = {} } = metadata
  return { name, spec, labels, ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }) }
}

export function toExperimentInput(
  { metadata, spec }: ExperimentResource,
  kubernetesMeta?: KubernetesMeta,
): ExperimentInput {
  const { name, labels = {} } = metadata
  return { name, spec, labels, ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }) }
}

/** @throws ServingError PIPELINE_SPEC_INVALID with everything that is wrong with it */
export function planApplyPipeline(
  cluster: ClusterState,
  input: PipelineInput,
  { nowMs, uid }: Moment,
): Plan<PipelineChange> {
  const specOf = (name: string) => mapped(cluster.pipeline(name), (other) => wantedPipelineVersion(other).spec)
  const issues = [...validatePipeline(input.name, input.spec, specOf), ...kafkaIssues(cluster, input)]
  if (issues.length > 0) throw issuesError('PIPELINE_SPEC_INVALID', `Pipeline ${input.name}`, issues)
  const existing = cluster.pipeline(input.name)
  const change = applyPipeline(existing, input, nowMs, uid)
  return { writes: change.kind === 'unchanged' ? [] : [writePipeline(existing, change.document)], answer: change }
}

/** @throws ServingError PIPELINE_NOT_FOUND, or IN_USE by an experiment */
export function planDeletePipeline(cluster: ClusterState, name: string, nowMs: number): Plan<undefined> {
  const existing = requirePipeline(cluster, name)
  refuseInUse(cluster, 'pipeline', name)
  const document = deletePipeline(existing, nowMs)
  return { writes: document === existing ? [] : [writePipeline(existing, document)], answer: undefined }
}

/** `version` undefined: the one before the latest. @throws ServingError PIPELINE_NOT_FOUND or VERSION_NOT_FOUND */
export function planRollbackPipeline(
  cluster: ClusterState,
  name: string,
  version: number | undefined,
  { nowMs, uid }: Moment,
): Plan<RolledBack> {
  const existing = requirePipeline(cluster, name)
  const fromVersion = wantedPipelineVersion(existing).version
  const { change, restoredVersion } = rollbackPipeline(existing, version, nowMs, uid)
  return {
    writes: change.kind === 'unchanged' ? [] : [writePipeline(existing, change.document)],
    answer: { fromVersion, restoredVersion, newVersion: change.kind === 'newVersion' ? change.version : fromVersion },
  }
}

/** @throws ServingError EXPERIMENT_SPEC_INVALID when another experiment has taken over the endpoint of its default */
export function planApplyExperiment(
  cluster: ClusterState,
  input: ExperimentInput,
  nowMs: number,
): Plan<ExperimentChange> {
  const holder = holderOfDefault(cluster, input)
  if (holder !== undefined)
    throw issuesError('EXPERIMENT_SPEC_INVALID', `Experiment ${input.name}`, [
      {
        path: 'spec.default',
        message: `${input.spec.default ?? ''} is the default of experiment ${holder} already: delete or change that one first`,
      },
    ])
  const existing = cluster.experiment(input.name)
  const change = applyExperiment(existing, input, nowMs)
  return { writes: change.kind === 'unchanged' ? [] : [writeExperiment(existing, change.document)], answer: change }
}

/** @throws ServingError EXPERIMENT_NOT_FOUND */
export function planDeleteExperiment(cluster: ClusterState, name: string, nowMs: number): Plan<undefined> {
  const existing = cluster.experiment(name)
  if (existing === undefined) throw new ServingError('EXPERIMENT_NOT_FOUND', `experiment ${name} does not exist`)
  const document = deleteExperiment(existing, nowMs)
  return { writes: document === existing ? [] : [writeExperiment(existing, document)], answer: undefined }
}

/** Told at once where it is known; of gateways that come later, their status tells. */
function kafkaIssues(cluster: ClusterState, { spec }: PipelineInput): readonly Issue[] {
  const gateways = [...cluster.gateways()]
  if (spec.dataflow?.execution !== 'topics' || gateways.length === 0) return []
  if (gateways.some(({ hasJournal }) => hasJournal)) return []
  const message =
    'topics needs Kafka, and no pipeline gateway here has one: start them with --kafka-bootstrap-servers (npm start -- --kafka), or use direct'
  return [{ path: 'spec.dataflow.execution', message }]
}

const mapped = <From, To>(from: From | undefined, convert: (from: From) => To): To | undefined =>
  from === undefined ? undefined : convert(from)

function requirePipeline(cluster: ClusterState, name: string): PipelineDocument {
  const pipeline = cluster.pipeline(name)
  if (pipeline === undefined) throw new ServingError('PIPELINE_NOT_FOUND', `pipeline ${name} does not exist`)
  return pipeline
}

const writePipeline = (existing: PipelineDocument | undefined, document: PipelineDocument): Write => ({
  kind: 'pipeline',
  name: document.name,
  expectedRevision: existing?.revision ?? 0,
  document,
})

const writeExperiment = (existing: ExperimentDocument | undefined, document: ExperimentDocument): Write => ({
  kind: 'experiment',
  name: document.name,
  expectedRevision: existing?.revision ?? 0,
  document,
})
