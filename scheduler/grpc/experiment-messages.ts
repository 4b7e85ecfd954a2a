/** Experiments as the compatible API sends them, and what it says of them. Pure. */
import type { Experiment__Output as ExperimentMessage } from '../../api/generated/seldon/mlops/scheduler/Experiment.ts'
import type { ExperimentStatusResponse } from '../../api/generated/seldon/mlops/scheduler/ExperimentStatusResponse.ts'
import { API_VERSION } from '../../api/resources/metadata.ts'
import { type ExperimentResource, parseResource } from '../../api/resources/resource.ts'
import type { ExperimentDocument } from '../domain/documents.ts'
import { toExperimentResource } from '../operations/dependent-resources.ts'

/** Checked like a manifest. @throws ServingError MANIFEST_INVALID with the paths of the resource kind */
export function parseExperimentMessage(message: ExperimentMessage | null): ExperimentResource {
  const { mirror, candidates = [] } = message ?? {}
  const spec = {
    ...(message?.resourceType === 'PIPELINE' ? { resourceType: 'pipeline' } : {}),
    ...(message?.default ? { default: message.default } : {}),
    ...(candidates.length === 0 ? {} : { candidates: candidates.map(({ name, weight }) => ({ name, weight })) }),
    ...(mirror ? { mirror: { name: mirror.name, percent: mirror.percent } } : {}),
  }
  const resource = { apiVersion: API_VERSION, kind: 'Experiment', metadata: { name: message?.name ?? '' }, spec }
  return parseResource(resource) as ExperimentResource // of its own kind
}

export function toExperimentStatusMessage(experiment: ExperimentDocument): ExperimentStatusResponse {
  const { kubernetesMeta } = experiment
  const { active, candidatesReady, mirrorReady, reason } = toExperimentResource(experiment).status ?? {}
  return {
    experimentName: experiment.name,
    active: active ?? false,
    candidatesReady: candidatesReady ?? false,
    mirrorReady: mirrorReady ?? false,
    statusDescription: active === true ? 'experiment active' : (reason ?? ''),
    ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
  }
}

/** The last that is said of an experiment: its record is gone. */
export function toStoppedMessage(experiment: ExperimentDocument): ExperimentStatusResponse {
  const status = { ...experiment.status, active: false, reason: 'experiment stopped' }
  return toExperimentStatusMessage({ ...experiment, deleted: true, status })
}
