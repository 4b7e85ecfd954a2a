/** Where a Model would go, and why not elsewhere; nothing is written. */
import type { ModelResource } from '../../api/resources/resource.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { wantedReplicas, wantedVersion } from '../domain/model-facts.ts'
import type { JudgeServers, Place, PlacementRequest, ServerVerdict } from '../domain/placement-request.ts'
import { parseModelDraft } from '../domain/validate.ts'
import { renderPlanned } from './apply-resource.ts'
import { planApplyModel } from './changes.ts'
import { toModelDraft } from './resources.ts'

export interface Placement {
  readonly place: Place
  readonly judge: JudgeServers
}

export interface PlacementAnswer {
  readonly model: string
  readonly version: number
  /** Replicas that are wanted. */
  readonly replicas: number
  /** Of each replica; 0: not known before an agent has read the artefact. */
  readonly memoryBytes: number
  /** Absent when there is no place. */
  readonly placed?: { readonly server: string; readonly replicas: readonly string[] }
  /** Why not, or why not as many as wanted. */
  readonly reason?: string
  readonly servers: readonly ServerVerdict[]
}

/** @throws ServingError listing everything wrong with the Model, or MODEL_TERMINATING */
export function explainPlacement(
  cluster: ClusterState,
  resource: ModelResource,
  { place, judge }: Placement,
  nowMs: number,
): PlacementAnswer {
  const input = parseModelDraft(toModelDraft(resource, { namespace: '', generation: 0 }))
  const plan = planApplyModel(cluster, input, nowMs)
  const model = plan.answer.document
  const version = wantedVersion(model)
  return renderPlanned(cluster, plan, () => {
    const count = wantedReplicas(model)
    const { minReplicas } = model.deployment
    const request: PlacementRequest = {
      model: model.name,
      version: version.version,
      spec: version.spec,
      memoryBytes: cluster.memoryBytesOf(model.name, version.version),
      count,
      minCount: minReplicas > 0 ? Math.min(minReplicas, count) : count,
      kept: [],
      excluded: new Map(),
      near: version.assigned,
    }
    const result = place(request, cluster)
    const explanation = result.kind === 'placed' ? result.shortfall : result.explanation
    return {
      model: model.name,
      version: version.version,
      replicas: count,
      memoryBytes: request.memoryBytes,
      ...(result.kind === 'placed' ? { placed: { server: result.server, replicas: result.replicas } } : {}),
      ...(explanation === undefined ? {} : { reason: explanation.reason }),
      servers: judge(request, cluster),
    }
  })
}
