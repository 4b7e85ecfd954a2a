/** Which pipelines and experiments name a model or another pipeline, so that a change of it costs those alone. */
import type { DocumentChange } from '../document-change.ts'
import type { ExperimentDocument, PipelineDocument } from '../documents.ts'
import { externalPipelines, isPipelineAwaitingAck, isPipelinePending } from '../pipeline/facts.ts'
import { isModelAnswering } from '../pipeline/status.ts'
import { createGroups } from './groups.ts'

/** A pipeline or an experiment. */
export type DependentKey = `pipeline/${string}` | `experiment/${string}`
export const isDependentKey = (key: string): key is DependentKey =>
  key.startsWith('pipeline/') || key.startsWith('experiment/')
type TargetKey = `${'model' | 'pipeline'}/${string}`

export interface Dependents {
  readonly of: (kind: 'model' | 'pipeline', name: string) => ReadonlySet<DependentKey>
  readonly followPipeline: (before: PipelineDocument | undefined, after: PipelineDocument | undefined) => void
  readonly followExperiment: (before: ExperimentDocument | undefined, after: ExperimentDocument | undefined) => void
  /** Those whose next step waits for Envoy's ACK. */
  readonly awaitingAck: () => ReadonlySet<DependentKey>
  /** Pipelines that wait for what gateways say. */
  readonly pending: () => ReadonlySet<DependentKey>
  /** The document itself and those that name it. */
  readonly affectedBy: (change: DocumentChange) => ReadonlySet<DependentKey>
}

export function createDependents(): Dependents {
  const byTarget = createGroups<TargetKey, DependentKey>()
  const move = (key: DependentKey, before: readonly TargetKey[], after: readonly TargetKey[]): void => {
    for (const target of before) byTarget.remove(target, key)
    for (const target of after) byTarget.add(target, key)
  }
  const awaitingAck = new Set<DependentKey>()
  const pending = new Set<DependentKey>()
  return {
    awaitingAck: () => awaitingAck,
    pending: () => pending,
    of: (kind, name) => byTarget.get(`${kind}/${name}`),
    followPipeline: (before, after) => {
      const key: DependentKey = `pipeline/${(after ?? before)?.name ?? ''}`
      move(key, pipelineTargets(before), pipelineTargets(after))
      note(awaitingAck, key, after !== undefined && isPipelineAwaitingAck(after))
      note(pending, key, after !== undefined && isPipelinePending(after))
    },
    followExperiment: (before, after) => {
      move(`experiment/${(after ?? before)?.name ?? ''}`, experimentTargets(before), experimentTargets(after))
    },
    affectedBy: (change) => {
      switch (change.kind) {
        case 'model': {
          const keys = byTarget.get(`model/${change.name}`)
          if (isModelAnswering(change.before) !== isModelAnswering(change.after)) return keys
          return new Set([...keys].filter((key) => key.startsWith('experiment/')))
        }
        case 'pipeline':
          return new Set<DependentKey>([`pipeline/${change.name}`, ...byTarget.get(`pipeline/${change.name}`)])
        case 'experiment':
          return new Set<DependentKey>([`experiment/${change.name}`])
        case 'gateway':
          return pending
        case 'server':
        case 'replica':
        case 'observed':
          return new Set() // they reach a pipeline or an experiment through a model's status
      }
    },
  }
}

function note(set: Set<DependentKey>, key: DependentKey, member: boolean): void {
  if (member) set.add(key)
  else set.delete(key)
}

/** The models of every kept version, and the pipelines that it takes from: an older one may still answer. */
const pipelineTargets = (pipeline: PipelineDocument | undefined): readonly TargetKey[] =>
  (pipeline?.versions ?? []).flatMap((version) => [
    ...version.spec.steps.map(({ name }): TargetKey => `model/${name}`),
    ...externalPipelines(version).map((name): TargetKey => `pipeline/${name}`),
  ])

function experimentTargets(experiment: ExperimentDocument | undefined): readonly TargetKey[] {
  if (experiment === undefined) return []
  const { resourceType = 'model', candidates = [], mirror } = experiment.spec
  const names = [...candidates.map(({ name }) => name), ...(mirror === undefined ? [] : [mirror.name])]
  return names.map((name): TargetKey => `${resourceType}/${name}`)
}
