/** Whether what an experiment names can take traffic. Pure. */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import type { ClusterView } from '../cluster.ts'
import type { ExperimentTargetDocument, ModelDocument, PipelineDocument } from '../documents.ts'

export type Members = Pick<ClusterView, 'model' | 'pipeline'>

export interface TargetState extends ExperimentTargetDocument {
  /** Requests find its servers, even while none of them answers. */
  readonly isRouted: boolean
}

export function candidatesOf(spec: ExperimentSpec, cluster: Members): readonly TargetState[] {
  return (spec.candidates ?? []).map(({ name }) => toTarget(spec, name, cluster))
}

export function mirrorOf(spec: ExperimentSpec, cluster: Members): TargetState | undefined {
  return spec.mirror && toTarget(spec, spec.mirror.name, cluster)
}

function toTarget(spec: ExperimentSpec, name: string, cluster: Members): TargetState {
  const isPipeline = spec.resourceType === 'pipeline'
  const lack = isPipeline ? lackOfPipeline(cluster.pipeline(name)) : lackOfModel(cluster.model(name))
  const isRouted = isPipeline ? isPipelineRouted(cluster.pipeline(name)) : isModelRouted(cluster.model(name))
  return { name, ready: lack === undefined, reason: lack ?? '', isRouted }
}

/** I1: not by what is scaled to zero, which waits for experiments to stop naming it. */
const isModelRouted = (model: ModelDocument | undefined): boolean =>
  model?.route !== undefined && !model.deleted && model.deployment.replicas > 0

const isPipelineRouted = (pipeline: PipelineDocument | undefined): boolean =>
  pipeline?.route !== undefined && pipeline.serving !== undefined && !pipeline.deleted

/** A model whose next version fails still takes traffic with the one that serves. */
function lackOfModel(model: ModelDocument | undefined): string | undefined {
  if (model === undefined) return 'the model does not exist'
  if (model.deleted) return 'the model is being deleted'
  if (isModelRouted(model) && model.status.availableReplicas > 0) return undefined
  return `${model.status.state}: ${model.status.reason}`
}

/** As with a model, an earlier version that serves is enough. */
function lackOfPipeline(pipeline: PipelineDocument | undefined): string | undefined {
  if (pipeline === undefined) return 'the pipeline does not exist'
  if (pipeline.deleted) return 'the pipeline is being deleted'
  const { status } = pipeline
  const isServed = isPipelineRouted(pipeline) && status.state !== 'PipelineCreate' // a gateway has it
  return isServed ? undefined : `${status.state}: ${status.reason}`
}
