/** A pipeline's status: that of the version users want. Owned by whoever builds the scheduler's side of pipelines. */
import type { ClusterView } from '../cluster.ts'
import type { PipelineDocument, PipelineStatusDocument } from '../documents.ts'
import { wantedPipelineVersion } from './facts.ts'

/** The status of a pipeline record as it stands; `changedAtMs` moves only when something else does. */
export function toPipelineStatus(
  pipeline: PipelineDocument,
  cluster: Pick<ClusterView, 'model'>,
  nowMs: number,
): PipelineStatusDocument {
  if (pipeline.deleted) return pipeline.status
  const missingModels = missingModelsOf(pipeline, cluster)
  const waiting = missingModels.length === 0 ? '' : `; models that are not available: ${missingModels.join(', ')}`
  const reason = `no pipeline gateway is connected${waiting}`
  const { status } = pipeline
  if (status.state === 'PipelineCreate' && status.reason === reason) return status
  return { state: 'PipelineCreate', reason, missingModels, changedAtMs: nowMs }
}

/** Models of the wanted version's steps that are not available, sorted. */
export function missingModelsOf(pipeline: PipelineDocument, cluster: Pick<ClusterView, 'model'>): readonly string[] {
  const names = new Set(wantedPipelineVersion(pipeline).spec.steps.map(({ name }) => name))
  return [...names].filter((name) => cluster.model(name)?.status.state !== 'ModelAvailable').toSorted()
}
