/** Applying a manifest. The scheduler counts generations itself: one more for each change that a resource makes. Pure. */
import type { Resource } from '../../api/resources/resource.ts'
import { ServingError } from '../../kit/errors.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { KubernetesMeta } from '../domain/documents.ts'
import { wantedVersion } from '../domain/model-facts.ts'
import { parseModelDraft, parseServerDraft } from '../domain/validate.ts'
import type { Plan } from '../loop/writer.ts'
import { planApplyModel, planApplyServer } from './changes.ts'
import { toModelDraft, toServerDraft } from './resources.ts'

export type ApplyOutcome = 'CREATED' | 'CHANGED' | 'UNCHANGED'

/** @throws ServingError listing everything wrong with it; VERSION_CONFLICT when it is not at the expected generation. */
export function planApplyResource(
  cluster: ClusterState,
  resource: Resource,
  expectedGeneration: number,
  nowMs: number,
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
    planAtGeneration(cluster, resource, { namespace: namespace ?? previous?.namespace ?? '', generation: at }, nowMs)
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
  nowMs: number,
): Plan<ApplyOutcome> {
  switch (resource.kind) {
    case 'Model': {
      const existed = cluster.model(resource.metadata.name)?.deleted === false
      const { writes, answer } = planApplyModel(cluster, parseModelDraft(toModelDraft(resource, meta)), nowMs)
      return { writes, answer: answer.kind === 'unchanged' ? 'UNCHANGED' : existed ? 'CHANGED' : 'CREATED' }
    }
    case 'Server': {
      const { writes, answer } = planApplyServer(cluster, parseServerDraft(toServerDraft(resource, meta)))
      return { writes, answer: answer === 'unchanged' ? 'UNCHANGED' : answer === 'created' ? 'CREATED' : 'CHANGED' }
    }
  }
}

function previousMeta(cluster: ClusterState, resource: Resource): KubernetesMeta | undefined {
  if (resource.kind === 'Server') return cluster.server(resource.metadata.name)?.kubernetesMeta
  const model = cluster.model(resource.metadata.name)
  return model === undefined || model.deleted ? undefined : wantedVersion(model).kubernetesMeta
}
