/** Applying a manifest. The scheduler counts generations itself: one more for each change that a resource makes. Pure. */
import type { Resource } from '../../api/resources/resource.ts'
import { ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { KubernetesMeta } from '../domain/documents.ts'
import { wantedVersion } from '../domain/model-facts.ts'
import { wantedPipelineVersion } from '../domain/pipeline/facts.ts'
import { parseModelDraft, parseServerDraft } from '../domain/validate.ts'
import type { Plan } from '../loop/writer.ts'
import { planApplyModel, planApplyServer } from './changes.ts'
import {
  type Moment,
  planApplyExperiment,
  planApplyPipeline,
  toExperimentInput,
  toPipelineInput,
} from './dependent-changes.ts'
import { toModelDraft, toServerDraft } from './resources.ts'

export type ApplyOutcome = 'CREATED' | 'CHANGED' | 'UNCHANGED'

/** @throws ServingError listing everything wrong with it; VERSION_CONFLICT when it is not at the expected generation. */
export function planApplyResource(
  cluster: ClusterState,
  resource: Resource,
  expectedGeneration: number,
  moment: Moment,
): Plan<ApplyOutcome> {
  const { name, namespace } = resource.metadata
  const previous = previousMeta(cluster, resource)
  const generation = previous?.generation ?? 0
  if (expectedGeneration !== 0 && expectedGeneration !== generation)
    throw new ServingError(
      'VERSION_CONFLICT',
      `${resource.kind} ${name} is at generation ${String(generation)}, not ${String(expectedGeneration)}: read it again`,
    )
  const planAt = (at: number): Plan<ApplyOutcome> =>
    planAtGeneration(cluster, resource, { namespace: namespace ?? previous?.namespace ?? '', generation: at }, moment)
  const asItWas = planAt(generation)
  return asItWas.answer === 'UNCHANGED' ? asItWas : planAt(generation + 1)
}

/** The resource after its plan, as `apply` answers it. */
export function renderPlanned<Rendered>(cluster: ClusterState, plan: Plan<unknown>, render: () => Rendered): Rendered {
  const undo = plan.writes.map((write) => ({ write, change: cluster.apply(write) }))
  try {
    return render()
  } finally {
    for (const { write, change } of undo.toReversed())
      if (change !== undefined) cluster.apply({ ...write, document: change.before } as typeof write)
  }
}

function planAtGeneration(
  cluster: ClusterState,
  resource: Resource,
  meta: KubernetesMeta,
  moment: Moment,
): Plan<ApplyOutcome> {
  switch (resource.kind) {
    case 'Model': {
      const existed = cluster.model(resource.metadata.name)?.deleted === false
      const { writes, answer } = planApplyModel(cluster, parseModelDraft(toModelDraft(resource, meta)), moment.nowMs)
      return { writes, answer: answer.kind === 'unchanged' ? 'UNCHANGED' : existed ? 'CHANGED' : 'CREATED' }
    }
    case 'Server': {
      const { writes, answer } = planApplyServer(cluster, parseServerDraft(toServerDraft(resource, meta)))
      return { writes, answer: answer === 'unchanged' ? 'UNCHANGED' : answer === 'created' ? 'CREATED' : 'CHANGED' }
    }
    case 'Pipeline': {
      const existed = cluster.pipeline(resource.metadata.name)?.deleted === false
      const { writes, answer } = planApplyPipeline(cluster, toPipelineInput(resource, meta), moment)
      return { writes, answer: answer.kind === 'unchanged' ? 'UNCHANGED' : existed ? 'CHANGED' : 'CREATED' }
    }
    case 'Experiment': {
      const { writes, answer } = planApplyExperiment(cluster, toExperimentInput(resource, meta), moment.nowMs)
      return { writes, answer: OUTCOMES[answer.kind] }
    }
  }
}

const OUTCOMES = { unchanged: 'UNCHANGED', created: 'CREATED', updated: 'CHANGED' } as const

/** What is being deleted counts as gone. */
function previousMeta(cluster: ClusterState, { kind, metadata: { name } }: Resource): KubernetesMeta | undefined {
  switch (kind) {
    case 'Server':
      return cluster.server(name)?.kubernetesMeta
    case 'Model': {
      const model = cluster.model(name)
      return model === undefined || model.deleted ? undefined : wantedVersion(model).kubernetesMeta
    }
    case 'Pipeline': {
      const pipeline = cluster.pipeline(name)
      return pipeline === undefined || pipeline.deleted ? undefined : wantedPipelineVersion(pipeline).kubernetesMeta
    }
    case 'Experiment': {
      const experiment = cluster.experiment(name)
      return experiment?.deleted === false ? experiment.kubernetesMeta : undefined
    }
  }
}
