/** A pipeline and an experiment as the scheduler tells of them. */
import { parseResource } from '../../api/resources/resource.ts'
import type { StoredExperiment, StoredPipeline } from '../../api/resources/status.ts'
import { experiment, pipeline } from './manifests.ts'

const HOUR_MS = 3_600_000
const at = (hoursAgo: number): string => new Date(Date.now() - hoursAgo * HOUR_MS).toISOString()

export const joinedPipeline: StoredPipeline = {
  ...(parseResource(pipeline({ steps: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] }, 'joined')) as StoredPipeline),
  status: {
    state: 'PipelineCreating',
    reason: 'Version 2 is loading on gateway-0',
    version: 2,
    servingVersion: 1,
    modelsReady: false,
    missingModels: ['c'],
    versions: [
      { version: 1, uid: 'first', steps: ['a'], at: at(3) },
      { version: 2, uid: 'second', steps: ['a', 'b', 'c'], at: at(1) },
    ],
  },
}
export const splitExperiment: StoredExperiment = {
  ...(parseResource(
    experiment({
      default: 'iris',
      candidates: [
        { name: 'iris', weight: 3 },
        { name: 'iris2', weight: 1 },
      ],
      mirror: { name: 'iris3', percent: 0.5 },
    }),
  ) as StoredExperiment),
  status: {
    state: 'ExperimentInactive',
    reason: 'not ready: iris2 (ModelProgressing)',
    createdAt: at(2),
    candidates: [
      { name: 'iris', ready: true },
      { name: 'iris2', ready: false, reason: 'ModelProgressing' },
    ],
    mirror: { name: 'iris3', ready: true },
  },
}
