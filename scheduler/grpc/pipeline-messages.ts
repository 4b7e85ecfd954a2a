/** Pipelines as the compatible API sends them, and as it gives them back. Pure. */
import type { Batch__Output as BatchMessage } from '../../api/generated/seldon/mlops/scheduler/Batch.ts'
import type { JoinOp__Output as JoinOp } from '../../api/generated/seldon/mlops/scheduler/JoinOp.ts'
import type {
  Pipeline as PipelineMessage,
  Pipeline__Output as PipelineInputMessage,
} from '../../api/generated/seldon/mlops/scheduler/Pipeline.ts'
import type { PipelineInput__Output as InputMessage } from '../../api/generated/seldon/mlops/scheduler/PipelineInput.ts'
import type { PipelineOutput__Output as OutputMessage } from '../../api/generated/seldon/mlops/scheduler/PipelineOutput.ts'
import type { PipelineStatusResponse } from '../../api/generated/seldon/mlops/scheduler/PipelineStatusResponse.ts'
import type { PipelineStep__Output as StepMessage } from '../../api/generated/seldon/mlops/scheduler/PipelineStep.ts'
import type { PipelineVersionState } from '../../api/generated/seldon/mlops/scheduler/PipelineVersionState.ts'
import { API_VERSION } from '../../api/resources/metadata.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { parseResource, type PipelineResource } from '../../api/resources/resource.ts'
import type { PipelineDocument, PipelineVersionDocument } from '../domain/documents.ts'
import { wantedPipelineVersion } from '../domain/pipeline/facts.ts'
import { toTimestamp } from './status-messages.ts'

type Join = NonNullable<NonNullable<PipelineSpec['input']>['joinType']>
const JOINS = { INNER: 'inner', OUTER: 'outer', ANY: 'any' } as const
const JOIN_OPS = { inner: 'INNER', outer: 'OUTER', any: 'ANY' } as const

/** Checked like a manifest. @throws ServingError MANIFEST_INVALID with the paths of the resource kind */
export function parsePipelineMessage(message: PipelineInputMessage | null): PipelineResource {
  const spec = {
    steps: (message?.steps ?? []).map(toStep),
    ...(message?.input ? { input: toInput(message.input) } : {}),
    ...(message?.output ? { output: toOutput(message.output) } : {}),
    ...(message?.dataflowSpec?.cleanTopicsOnDelete === true ? { dataflow: { cleanTopicsOnDelete: true } } : {}),
    ...(message?.allowCycles === true ? { allowCycles: true } : {}),
    ...(message?.maxStepRevisits ? { maxStepRevisits: message.maxStepRevisits } : {}),
  }
  const resource = { apiVersion: API_VERSION, kind: 'Pipeline', metadata: { name: message?.name ?? '' }, spec }
  return parseResource(resource) as PipelineResource // of its own kind
}

const toStep = (step: StepMessage) => ({
  name: step.name,
  ...listed('inputs', step.inputs),
  ...toWindow(step),
  ...toTensorMap(step.tensorMap),
  ...toJoin('inputsJoinType', step.inputsJoin),
  ...listed('triggers', step.triggers),
  ...toJoin('triggersJoinType', step.triggersJoin),
  ...(step.batch ? toBatch(step.batch) : {}),
})

const toInput = (input: InputMessage) => ({
  ...listed('externalInputs', input.externalInputs),
  ...listed('externalTriggers', input.externalTriggers),
  ...toWindow(input),
  ...toJoin('joinType', input.joinType),
  ...toJoin('triggersJoinType', input.triggersJoin),
  ...toTensorMap(input.tensorMap),
})

const toOutput = (output: OutputMessage) => ({
  steps: output.steps,
  ...(output.joinWindowMs === 0 ? {} : { joinWindowMs: output.joinWindowMs }), // no presence on the wire
  ...toJoin('stepsJoin', output.stepsJoin),
  ...toTensorMap(output.tensorMap),
})

function toBatch({ size, windowMs, _size, _windowMs }: BatchMessage) {
  const batch = { ...(_size ? { size } : {}), ...(_windowMs ? { windowMs } : {}) }
  return Object.keys(batch).length === 0 ? {} : { batch }
}

const listed = (key: string, list: readonly string[]) => (list.length === 0 ? {} : { [key]: list })
const toJoin = (key: string, join: JoinOp) => (join === 'INNER' ? {} : { [key]: JOINS[join] })
const toTensorMap = (tensorMap: Readonly<Record<string, string>>) =>
  Object.keys(tensorMap).length === 0 ? {} : { tensorMap }
const toWindow = (message: { readonly _joinWindowMs?: string; readonly joinWindowMs?: number }) =>
  message._joinWindowMs === undefined ? {} : { joinWindowMs: message.joinWindowMs }

/** A version as clients would send it. What the wire has no field for is left out. */
export function toPipelineMessage(name: string, entry: PipelineVersionDocument): PipelineMessage {
  const { spec, kubernetesMeta } = entry
  const { input, output, dataflow } = spec
  return {
    name,
    uid: entry.uid,
    version: entry.version,
    steps: spec.steps.map((step) => ({
      name: step.name,
      inputs: [...(step.inputs ?? [])],
      ...fromWindow(step),
      tensorMap: { ...step.tensorMap },
      inputsJoin: fromJoin(step.inputsJoinType),
      triggers: [...(step.triggers ?? [])],
      triggersJoin: fromJoin(step.triggersJoinType),
      ...(step.batch === undefined ? {} : { batch: fromBatch(step.batch) }),
    })),
    ...(input === undefined
      ? {}
      : {
          input: {
            externalInputs: [...(input.externalInputs ?? [])],
            externalTriggers: [...(input.externalTriggers ?? [])],
            ...fromWindow(input),
            joinType: fromJoin(input.joinType),
            triggersJoin: fromJoin(input.triggersJoinType),
            tensorMap: { ...input.tensorMap },
          },
        }),
    ...(output === undefined
      ? {}
      : {
          output: {
            steps: [...output.steps],
            joinWindowMs: output.joinWindowMs ?? 0,
            stepsJoin: fromJoin(output.stepsJoin),
            tensorMap: { ...output.tensorMap },
          },
        }),
    dataflowSpec: { cleanTopicsOnDelete: dataflow?.cleanTopicsOnDelete ?? false },
    allowCycles: spec.allowCycles ?? false,
    maxStepRevisits: spec.maxStepRevisits ?? 0,
    ...(kubernetesMeta === undefined ? {} : { kubernetesMeta }),
  }
}

const fromJoin = (join: Join = 'inner') => JOIN_OPS[join]
const fromWindow = ({ joinWindowMs }: { readonly joinWindowMs?: number }) =>
  joinWindowMs === undefined ? {} : { joinWindowMs }
const fromBatch = ({ size, windowMs }: NonNullable<PipelineSpec['steps'][number]['batch']>) => ({
  ...(size === undefined ? {} : { size }),
  ...(windowMs === undefined ? {} : { windowMs }),
})

/** Of the latest version, or of all; the latest is last. */
export function toPipelineStatusMessage(pipeline: PipelineDocument, allVersions: boolean): PipelineStatusResponse {
  const versions = allVersions ? pipeline.versions : [wantedPipelineVersion(pipeline)]
  return {
    pipelineName: pipeline.name,
    versions: versions.map((version) => ({
      pipeline: toPipelineMessage(pipeline.name, version),
      state: toVersionState(pipeline, version),
    })),
    timestamp: pipeline.status.changedAtMs,
    operation: pipeline.deleted ? 'PipelineDelete' : 'PipelineCreate',
  }
}

/** The last that is said of a pipeline: its record is gone. */
export function toTerminatedPipelineMessage(pipeline: PipelineDocument, nowMs: number): PipelineStatusResponse {
  const status = { ...pipeline.status, state: 'PipelineTerminated', reason: 'deleted', changedAtMs: nowMs } as const
  return toPipelineStatusMessage({ ...pipeline, deleted: true, status }, false)
}

/** The pipeline's own state for the version that is wanted; an older one serves, or does not any more. */
function toVersionState(pipeline: PipelineDocument, { version }: PipelineVersionDocument): PipelineVersionState {
  const { status, serving } = pipeline
  const isWanted = version === wantedPipelineVersion(pipeline).version
  const state = isWanted ? status.state : version === serving ? 'PipelineReady' : 'PipelineTerminated'
  const reason = isWanted ? status.reason : version === serving ? 'serves until a newer version takes over' : 'replaced'
  return {
    pipelineVersion: version,
    status: state,
    reason,
    lastChangeTimestamp: toTimestamp(status.changedAtMs),
    modelsReady: isWanted ? status.missingModels.length === 0 : version === serving,
    pipelineGwStatus: state,
    pipelineGwReason: reason,
  }
}
