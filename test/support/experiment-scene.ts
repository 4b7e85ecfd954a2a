/** An experiment among models and Envoys that a test moves by hand; the records are reconciled until nothing changes. */
import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import { applyExperiment, deleteExperiment } from '../../scheduler/domain/experiment/change.ts'
import type { Measurement } from '../../scheduler/domain/experiment/measurement.ts'
import { NOTHING_MEASURED } from '../../scheduler/domain/experiment/measurement.ts'
import { reconcileExperiment, windowOf } from '../../scheduler/domain/experiment/reconcile.ts'
import type {
  EventDocument,
  ExperimentDocument,
  ModelDocument,
  PipelineDocument,
} from '../../scheduler/domain/documents.ts'
import { aModel } from './documents.ts'

export interface ExperimentScene {
  readonly document: ExperimentDocument
  readonly events: readonly EventDocument[]
  nowMs: number
  /** What every counting Envoy has ACKed; `no-node`: there is none. */
  acked: 'all' | 'none' | 'no-node'
  apply(spec: ExperimentSpec): void
  model(name: string, availableReplicas: number, wantedReplicas?: number): void
  pipeline(name: string, serving: number | undefined, state?: 'PipelineCreate' | 'PipelineCreating'): void
  remove(model: string): void
  stop(): void
  /** Its record is to be deleted. */
  readonly isGone: boolean
  /** Of this candidate, in the window that is open. */
  measure(candidate: string, measurement: Measurement): void
  /** As often as it takes until nothing changes; fails when that never is. */
  settle(): ExperimentDocument
  /** The next wake-up that was asked for. */
  readonly wakeAtMs: number | undefined
}

const MAX_STEPS = 20

export function createExperimentScene(name: string, spec: ExperimentSpec): ExperimentScene {
  const models = new Map<string, ModelDocument>()
  const pipelines = new Map<string, PipelineDocument>()
  const measured = new Map<string, { readonly window: string | undefined; readonly measurement: Measurement }>()
  const events: EventDocument[] = []
  let document = applyExperiment(undefined, { name, spec, labels: {} }, 0).document
  let wakeAtMs: number | undefined
  let isGone = false
  let revision = 0

  const scene: ExperimentScene = {
    get document() {
      return document
    },
    get wakeAtMs() {
      return wakeAtMs
    },
    get isGone() {
      return isGone
    },
    events,
    nowMs: 0,
    acked: 'all',
    apply: (next) => {
      document = applyExperiment(document, { name, spec: next, labels: {} }, scene.nowMs).document
    },
    model: (model, availableReplicas, replicas = 1) => {
      const { status, deployment, ...rest } = aModel(model)
      const state = availableReplicas > 0 ? ('ModelAvailable' as const) : ('ModelProgressing' as const)
      models.set(model, {
        ...rest,
        deployment: { ...deployment, replicas },
        route: { version: 1, replicas: ['s/0'], sinceRevision: 1, ackedAtMs: 1 },
        status: { ...status, state, reason: 'Loading', availableReplicas },
      })
    },
    pipeline: (pipeline, serving, state = 'PipelineCreating') => {
      pipelines.set(pipeline, {
        deleted: false,
        ...(serving === undefined ? {} : { serving, route: { sinceRevision: 1 } }),
        status: { state, reason: 'waits', missingModels: [], changedAtMs: 0 },
      } as unknown as PipelineDocument)
    },
    remove: (model) => {
      models.delete(model)
    },
    stop: () => {
      document = deleteExperiment(document, scene.nowMs)
    },
    measure: (candidate, measurement) => {
      measured.set(candidate, { window: windowOf(document.rollout), measurement })
    },
    settle: () => {
      for (let step = 0; step < MAX_STEPS; step += 1) {
        const result = reconcileExperiment(
          document,
          { model: (model) => models.get(model), pipeline: (pipeline) => pipelines.get(pipeline) },
          {
            nowMs: scene.nowMs,
            isAcked: () => (scene.acked === 'no-node' ? 'no-node' : scene.acked === 'all'),
            heldNodes: () => [],
            measured: (_experiment, window, candidate) => {
              const known = measured.get(candidate)
              return known?.window === window ? known.measurement : NOTHING_MEASURED
            },
          },
        )
        wakeAtMs = result.wakeAtMs
        isGone = result.remove
        events.push(...result.events)
        if (result.document === undefined) return document
        revision += 1
        document = JSON.parse(JSON.stringify({ ...result.document, revision })) as ExperimentDocument // as Redis keeps it
      }
      throw new Error(`experiment ${name} never settles: ${JSON.stringify(document)}`)
    },
  }
  return scene
}
