/** What the scheduler wants on this replica, and how its messages change that. Pure. */
import type { CallBack__Output } from '../../api/generated/millrace/agent/v1/CallBack.ts'
import type { Desired__Output } from '../../api/generated/millrace/agent/v1/Desired.ts'
import type { DesiredModel__Output } from '../../api/generated/millrace/agent/v1/DesiredModel.ts'

export interface DesiredModel {
  readonly internalName: string
  readonly modelName: string
  readonly version: number
  readonly storageUri: string
  readonly artifactVersion?: number
  readonly requirements: readonly string[]
  readonly parameters: Readonly<Record<string, string>>
  /** Of an explainer, or a model that asks a language model. */
  readonly callBack?: CallBack
  readonly memoryBytes: number
  /** Grows when the scheduler wants a failed load tried again. */
  readonly attempt: number
  /** Equal keys mean equal files in the repository folder, so nothing needs to be copied or loaded again. */
  readonly specKey: string
}

/** What a model calls through Envoy. */
export interface CallBack {
  /** Empty: it is no explainer. */
  readonly explainerType: string
  readonly kind: 'models' | 'pipelines'
  readonly name: string
}

export type DesiredModels = ReadonlyMap<string, DesiredModel>

/**
 * `confirmed`: a scheduler has spoken since this process started. Until then the models come from the last run's file:
 * good enough to load from, not to unload by, because the scheduler may have asked for more since.
 */
export type Desired =
  | { readonly kind: 'Unknown' }
  | {
      readonly kind: 'Known'
      readonly epoch: string
      readonly generation: number
      readonly confirmed: boolean
      readonly models: DesiredModels
    }

/** A scheduler's message: everything, or the difference to a generation that we said we have. */
export interface DesiredChange {
  readonly epoch: string
  readonly generation: number
  readonly full: boolean
  readonly models: readonly DesiredModel[]
  readonly removed: readonly string[]
}

export type ChangeResult =
  | { readonly kind: 'applied'; readonly desired: Desired }
  | { readonly kind: 'late' }
  /** A difference to something we do not have: only a full message helps. */
  | { readonly kind: 'outOfStep'; readonly reason: string }

export const NOTHING_KNOWN: Desired = { kind: 'Unknown' }
const NO_MODELS: DesiredModels = new Map()

export const modelsOf = (desired: Desired): DesiredModels => (desired.kind === 'Known' ? desired.models : NO_MODELS)

/** Applying the same change twice is harmless; an older one changes nothing. */
export function applyChange(desired: Desired, change: DesiredChange): ChangeResult {
  const { epoch, generation } = change
  if (change.full) {
    const models = new Map(change.models.map((model) => [model.internalName, model]))
    return { kind: 'applied', desired: { kind: 'Known', epoch, generation, confirmed: true, models } }
  }
  if (desired.kind === 'Unknown' || desired.epoch !== epoch) {
    const have = desired.kind === 'Unknown' ? 'nothing' : `epoch ${desired.epoch}`
    return { kind: 'outOfStep', reason: `got a difference in epoch ${epoch} and have ${have}` }
  }
  if (generation < desired.generation) return { kind: 'late' }
  const models = new Map(desired.models)
  for (const name of change.removed) models.delete(name)
  for (const model of change.models) models.set(model.internalName, model)
  return { kind: 'applied', desired: { kind: 'Known', epoch, generation, confirmed: true, models } }
}

type Spec = Pick<DesiredModel, 'storageUri' | 'artifactVersion' | 'requirements' | 'parameters' | 'callBack'>

export function toSpecKey(spec: Spec): string {
  const parameters = Object.entries(spec.parameters).toSorted(([a], [b]) => (a < b ? -1 : 1))
  const { explainerType, kind, name } = spec.callBack ?? {}
  const callBack = spec.callBack === undefined ? [] : [[explainerType, kind, name]]
  return JSON.stringify([spec.storageUri, spec.artifactVersion ?? null, spec.requirements, parameters, ...callBack])
}

/** `memoryBytes` less what the desired models need, never below zero. */
export function availableMemoryBytes(memoryBytes: number, models: DesiredModels): number {
  let needed = 0
  for (const model of models.values()) needed += model.memoryBytes
  return Math.max(0, memoryBytes - needed)
}

export function toDesiredChange(message: Desired__Output): DesiredChange {
  return {
    epoch: message.epoch,
    generation: Number(message.generation),
    full: message.full,
    models: message.models.map(toDesiredModel),
    removed: message.removed,
  }
}

function toCallBack(message: CallBack__Output | null): Pick<DesiredModel, 'callBack'> {
  if (message === null) return {}
  const { explainerType, target, model = '', pipeline = '' } = message
  return {
    callBack:
      target === 'pipeline'
        ? { explainerType, kind: 'pipelines', name: pipeline }
        : { explainerType, kind: 'models', name: model },
  }
}

function toDesiredModel(message: DesiredModel__Output): DesiredModel {
  const spec: Spec = {
    storageUri: message.storageUri,
    // The wire's default of 0 stands in an absent optional field too; the presence flag tells.
    ...(message._artifactVersion !== undefined && message.artifactVersion !== undefined
      ? { artifactVersion: message.artifactVersion }
      : {}),
    requirements: message.requirements,
    parameters: message.parameters,
    ...toCallBack(message.callBack),
  }
  return {
    internalName: message.internalName,
    modelName: message.modelName,
    version: message.version,
    ...spec,
    memoryBytes: Number(message.memoryBytes),
    attempt: message.attempt,
    specKey: toSpecKey(spec),
  }
}
