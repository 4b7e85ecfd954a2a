/** An experiment's status. Owned by whoever builds the control plane of experiments. */
import type { ClusterView } from '../cluster.ts'
import type { ExperimentDocument, ExperimentStatusDocument, ExperimentTargetDocument } from '../documents.ts'
import { sameValue } from '../same-value.ts'

type Known = Pick<ClusterView, 'model' | 'pipeline'>

/** The status of an experiment record as it stands; `changedAtMs` moves only when something else does. */
export function toExperimentStatus(
  experiment: ExperimentDocument,
  cluster: Known,
  nowMs: number,
): ExperimentStatusDocument {
  const { spec, status } = experiment
  if (experiment.deleted) return status
  const { resourceType = 'model' } = spec
  const candidates = (spec.candidates ?? []).map(({ name }) => toTarget(resourceType, name, cluster))
  const mirror = spec.mirror === undefined ? undefined : toTarget(resourceType, spec.mirror.name, cluster)
  const awaited = [...candidates, ...(mirror === undefined ? [] : [mirror])].filter(({ ready }) => !ready)
  const next: Omit<ExperimentStatusDocument, 'changedAtMs'> = {
    active: false,
    reason:
      awaited.length === 0
        ? 'everything is ready; traffic is not split yet'
        : `not ready: ${awaited.map(({ name, reason }) => `${name} (${reason})`).join(', ')}`,
    candidates,
    ...(mirror === undefined ? {} : { mirror }),
  }
  const { changedAtMs: _, ...before } = status
  return sameValue(before, next) ? status : { ...next, changedAtMs: nowMs }
}

function toTarget(kind: 'model' | 'pipeline', name: string, cluster: Known): ExperimentTargetDocument {
  const state = kind === 'model' ? cluster.model(name)?.status.state : cluster.pipeline(name)?.status.state
  const ready = state === (kind === 'model' ? 'ModelAvailable' : 'PipelineReady')
  return { name, ready, reason: ready ? '' : (state ?? 'does not exist') }
}
