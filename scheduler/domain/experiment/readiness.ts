/** Whether what an experiment names can take traffic. Pure. */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import type { ClusterView } from '../cluster.ts'
import type { ExperimentTargetDocument, ModelDocument, PipelineDocument } from '../documents.ts'

export type Members = Pick<ClusterView, 'model' | 'pipeline'>

export function candidatesOf(spec: ExperimentSpec, cluster: Members): readonly ExperimentTargetDocument[] {
  return (spec.candidates ?? []).map(({ name }) => toTarget(spec, name, cluster))
}

export function mirrorOf(spec: ExperimentSpec, cluster: Members): ExperimentTargetDocument | undefined {
  return spec.mirror && toTarget(spec, spec.mirror.name, cluster)
}

function toTarget(spec: ExperimentSpec, name: string, cluster: Members): ExperimentTargetDocument {
  const lack =
    spec.resourceType === 'pipeline' ? lackOfPipeline(cluster.pipeline(name)) : lackOfModel(cluster.model(name))
  return { name, ready: lack === undefined, reason: lack ?? '' }
}

/** A model whose next version fails still takes traffic with the one that serves. */
function lackOfModel(model: ModelDocument | undefined): string | undefined {
  if (model === undefined) return 'the model does not exist'
  if (model.deleted) return 'the model is being deleted'
  if (model.route !== undefined && model.status.availableReplicas > 0 && model.deployment.replicas > 0) return undefined
  return `${model.status.state}: ${model.status.reason}`
}

/** As with a model, an earlier version that serves is enough. */
function lackOfPipeline(pipeline: PipelineDocument | undefined): string | undefined {
  if (pipeline === undefined) return 'the pipeline does not exist'
  if (pipeline.deleted) return 'the pipeline is being deleted'
  const { serving, route, status } = pipeline
  const isServed = serving !== undefined && route !== undefined && status.state !== 'PipelineCreate' // a gateway has it
  return isServed ? undefined : `${status.state}: ${status.reason}`
}
