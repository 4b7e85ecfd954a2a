/** Pipelines and experiments as the resources that people read. Pure. */
import { API_VERSION } from '../../api/resources/metadata.ts'
import type {
  Condition,
  RolloutDecision,
  RolloutStatus,
  StoredExperiment,
  StoredPipeline,
} from '../../api/resources/status.ts'
import type { ExperimentDocument, ExperimentTargetDocument, PipelineDocument } from '../domain/documents.ts'
import { canaryWeight, type Decision } from '../domain/experiment/rollout.ts'
import { wantedPipelineVersion } from '../domain/pipeline/facts.ts'
import { toIso, toMetadata } from './resources.ts'

export function toPipelineResource(pipeline: PipelineDocument): StoredPipeline {
  const { name, labels, status, serving, versions } = pipeline
  const { spec, version, kubernetesMeta } = wantedPipelineVersion(pipeline)
  const generation = kubernetesMeta?.generation
  const modelsReady = status.missingModels.length === 0
  const isReady = status.state === 'PipelineReady'
  const condition = (type: string, holds: boolean, reason: string, message: string): Condition => ({
    type,
    status: holds ? 'True' : 'False',
    reason,
    message,
    lastTransitionTime: toIso(status.changedAtMs),
  })
  return {
    apiVersion: API_VERSION,
    kind: 'Pipeline',
    metadata: toMetadata(name, kubernetesMeta, labels),
    spec,
    status: {
      ...(generation === undefined ? {} : { observedGeneration: generation }), // reconciled in the commit that changed it
      state: status.state,
      reason: status.reason,
      conditions: [
        condition('PipelineReady', isReady, status.state, status.reason),
        condition('PipelineGwReady', isReady, status.state, status.reason),
        condition(
          'ModelsReady',
          modelsReady,
          modelsReady ? 'ModelsAvailable' : 'ModelsMissing',
          modelsReady ? 'all models are available' : `not available: ${status.missingModels.join(', ')}`,
        ),
        condition('Ready', isReady && modelsReady, status.state, status.reason),
      ],
      version,
      ...(serving === undefined ? {} : { servingVersion: serving }),
      modelsReady,
      missingModels: status.missingModels,
      versions: versions.map((entry) => ({
        version: entry.version,
        uid: entry.uid,
        steps: entry.spec.steps.map((step) => step.name),
        at: toIso(entry.atMs),
      })),
    },
  }
}

export function toExperimentResource(experiment: ExperimentDocument): StoredExperiment {
  const { name, labels, spec, status, kubernetesMeta } = experiment
  const { active, reason, candidates, mirror } = status
  const candidatesReady = candidates.length === (spec.candidates ?? []).length && candidates.every(({ ready }) => ready)
  const mirrorReady = spec.mirror === undefined || mirror?.ready === true
  const state = experiment.deleted ? 'ExperimentTerminating' : active ? 'ExperimentActive' : 'ExperimentInactive'
  const condition = (type: string, holds: boolean): Condition => ({
    type,
    status: holds ? 'True' : 'False',
    reason: state,
    message: reason,
    lastTransitionTime: toIso(status.changedAtMs),
  })
  return {
    apiVersion: API_VERSION,
    kind: 'Experiment',
    metadata: toMetadata(name, kubernetesMeta, labels),
    spec,
    status: {
      ...(kubernetesMeta === undefined ? {} : { observedGeneration: kubernetesMeta.generation }), // as for pipelines
      state,
      reason,
      conditions: [
        condition('ExperimentReady', active),
        condition('CandidatesReady', candidatesReady),
        condition('MirrorReady', mirrorReady),
        condition('Ready', active),
      ],
      active,
      candidatesReady,
      mirrorReady,
      createdAt: toIso(experiment.createdAtMs),
      candidates: candidates.map((target) => ({ ...toTargetStatus(target), ...shareOf(target.name, experiment) })),
      ...(mirror === undefined ? {} : { mirror: toTargetStatus(mirror) }),
      ...toRolloutStatus(experiment),
      ...(experiment.decisions === undefined ? {} : { decisions: experiment.decisions.map(toDecision) }),
    },
  }
}

function shareOf(name: string, { route }: ExperimentDocument): { readonly share?: number } {
  if (route === undefined) return {}
  const sum = route.candidates.reduce((total, { weight }) => total + weight, 0)
  const weight = route.candidates.find((candidate) => candidate.name === name)?.weight ?? 0
  return { share: Math.round((1_000 * weight) / sum) / 10 }
}

function toRolloutStatus({ spec, rollout }: ExperimentDocument): { readonly rollout?: RolloutStatus } {
  if (spec.rollout === undefined || rollout === undefined) return {}
  const { phase, step, decideAtMs } = rollout
  return {
    rollout: {
      phase,
      step: step + 1,
      steps: spec.rollout.steps.length,
      weight: canaryWeight(rollout, spec.rollout),
      ...(decideAtMs === undefined ? {} : { decideAt: toIso(decideAtMs) }),
    },
  }
}

const toDecision = ({ atMs, step, ...decision }: Decision): RolloutDecision => ({
  at: toIso(atMs),
  step: step + 1,
  ...decision,
})

const toTargetStatus = ({ name, ready, reason }: ExperimentTargetDocument) => ({
  name,
  ready,
  ...(reason === '' ? {} : { reason }),
})
