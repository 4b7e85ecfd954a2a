/**
 * One step of an experiment towards what users asked. Pure, and harmless when repeated; called when the record changes, when a
 * model or pipeline that it names changes, at the start of a leadership and by the sweep.
 *
 * Owner: the control plane of experiments (activation, routes, progressive delivery) grows here.
 */
import type { ClusterView } from '../cluster.ts'
import type { EventDocument, ExperimentDocument } from '../documents.ts'
import type { ReconcileContext } from '../reconcile/context.ts'
import type { DependentReconciliation } from '../reconcile/dependent.ts'
import { sameValue } from '../same-value.ts'
import { toExperimentStatus } from './status.ts'

export function reconcileExperiment(
  experiment: ExperimentDocument,
  cluster: ClusterView,
  context: Pick<ReconcileContext, 'nowMs'>,
): DependentReconciliation<ExperimentDocument> {
  if (experiment.deleted) return { document: undefined, events: [], remove: true } // nothing is routed by it
  const after = { ...experiment, status: toExperimentStatus(experiment, cluster, context.nowMs) }
  return {
    document: sameValue(experiment, after) ? undefined : after,
    events: toEvents(experiment, after, context.nowMs),
    remove: false,
  }
}

function toEvents(before: ExperimentDocument, after: ExperimentDocument, atMs: number): readonly EventDocument[] {
  const { active, reason } = after.status
  if (before.status.active === active && before.status.reason === reason) return []
  return [{ atMs, kind: 'info', reason: active ? 'ExperimentActive' : 'ExperimentInactive', message: reason }]
}
