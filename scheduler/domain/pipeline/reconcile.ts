/**
 * One step of a pipeline towards what users asked. Pure, and harmless when repeated; called when the record changes, when a
 * model that it names changes, at the start of a leadership and by the sweep.
 *
 * Owner: the scheduler's side of pipelines (versions, gateways, readiness, routes) grows here.
 */
import type { ClusterView } from '../cluster.ts'
import type { EventDocument, PipelineDocument } from '../documents.ts'
import type { ReconcileContext } from '../reconcile/context.ts'
import type { DependentReconciliation } from '../reconcile/dependent.ts'
import { sameValue } from '../same-value.ts'
import { toPipelineStatus } from './status.ts'

export function reconcilePipeline(
  pipeline: PipelineDocument,
  cluster: ClusterView,
  context: Pick<ReconcileContext, 'nowMs'>,
): DependentReconciliation<PipelineDocument> {
  if (pipeline.deleted) return { document: undefined, events: [], remove: true } // no gateway has it
  const after = { ...pipeline, status: toPipelineStatus(pipeline, cluster, context.nowMs) }
  return {
    document: sameValue(pipeline, after) ? undefined : after,
    events: toEvents(pipeline, after, context.nowMs),
    remove: false,
  }
}

function toEvents(before: PipelineDocument, after: PipelineDocument, atMs: number): readonly EventDocument[] {
  const { state, reason } = after.status
  if (before.status.state === state && before.status.reason === reason) return []
  return [{ atMs, kind: state === 'PipelineFailed' ? 'warning' : 'info', reason: state, message: reason }]
}
