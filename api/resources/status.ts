/**
 * What the scheduler says of a resource: the `status` beside the spec in every answer of the administration API. Written
 * by the scheduler, read by clients; a client takes an absent field as not known, so fields can be added.
 */
import { ServingError } from '../../kit/errors.ts'
import { isMapping } from './check.ts'
import {
  type ExperimentResource,
  KINDS,
  type ModelResource,
  type PipelineResource,
  type ServerResource,
  subjectOf,
} from './resource.ts'

export interface Condition {
  readonly type: string
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason?: string
  readonly message?: string
  /** ISO 8601. */
  readonly lastTransitionTime?: string
}

export interface ReplicaStatus {
  /** `<server>/<index>` */
  readonly replica: string
  /** Loading, Loaded, LoadFailed, Available, Unloading, ... */
  readonly state: string
  readonly reason?: string
}

export interface VersionStatus {
  readonly version: number
  readonly state: string
  readonly reason?: string
  readonly server?: string
  /** Per replica; the artefact's size x 1.2 where the manifest says nothing. */
  readonly memoryBytes?: number
  readonly replicas?: readonly ReplicaStatus[]
}

/** For each server that was considered: the filter that refused it, with the numbers. */
export interface PlacementStatus {
  readonly reason: string
  readonly servers: readonly { readonly server: string; readonly filter: string; readonly detail: string }[]
}

export interface ModelStatus {
  /** The metadata.generation that this status is about. */
  readonly observedGeneration?: number
  /** ModelProgressing, ModelAvailable, ModelFailed, ScheduleFailed, ... */
  readonly state?: string
  readonly reason?: string
  /** A failed load is tried again by itself: the state is not the last word. */
  readonly retrying?: boolean
  readonly conditions?: readonly Condition[]
  /** Desired, and able to serve. */
  readonly replicas?: number
  readonly availableReplicas?: number
  /** The version that users want, and the one that answers. */
  readonly version?: number
  readonly servingVersion?: number
  /** How requests reach it now: `direct`, or through its replicas' `agent`s. */
  readonly dataPath?: 'direct' | 'agent'
  readonly server?: string
  readonly versions?: readonly VersionStatus[]
  /** Present while no place was found. */
  readonly placement?: PlacementStatus
  /** Records on its inputs in Kafka that are not done; absent while no model gateway has told. */
  readonly lagRecords?: number
  /** Versions that can be rolled back to; newest last. */
  readonly history?: readonly { readonly version: number; readonly storageUri: string; readonly at?: string }[]
}

export interface ServerReplicaStatus {
  readonly replica: string
  readonly address: string
  readonly restPort: number
  readonly grpcPort: number
  /** serving, reloading, down */
  readonly health: string
  readonly reason?: string
  /** connected, lost */
  readonly agent: string
  readonly draining: boolean
  readonly memoryBytes: number
  readonly availableMemoryBytes: number
  readonly capabilities: readonly string[]
  readonly loadedModels: number
}

export interface ServerStatus {
  readonly observedGeneration?: number
  /** ServerReady, ServerProgressing, ServerUnavailable, ... */
  readonly state?: string
  readonly reason?: string
  readonly conditions?: readonly Condition[]
  /** Desired, and serving. */
  readonly replicas?: number
  readonly availableReplicas?: number
  readonly loadedModels?: number
  readonly replicaStatuses?: readonly ServerReplicaStatus[]
}

export interface PipelineVersionStatus {
  readonly version: number
  /** Made by the scheduler, another one for each version. */
  readonly uid: string
  readonly steps: readonly string[]
  readonly at?: string
}

export interface PipelineStatus {
  readonly observedGeneration?: number
  /** PipelineCreate, PipelineCreating, PipelineReady, PipelineFailed, PipelineTerminating, ... */
  readonly state?: string
  readonly reason?: string
  readonly conditions?: readonly Condition[]
  /** The version that users want, and the one that answers. */
  readonly version?: number
  readonly servingVersion?: number
  /** Whether every model of the wanted version is available, and those that are not. */
  readonly modelsReady?: boolean
  readonly missingModels?: readonly string[]
  /** Records on its inputs in Kafka that are not done; absent while no engine has told. */
  readonly lagRecords?: number
  /** The wanted version last; earlier ones can be rolled back to. */
  readonly versions?: readonly PipelineVersionStatus[]
}

/** A candidate or the mirror. */
export interface ExperimentTargetStatus {
  readonly name: string
  readonly ready: boolean
  readonly reason?: string
  /** Of the requests, in percent, as Envoy is told now. */
  readonly share?: number
}

export interface ExperimentStatus {
  readonly observedGeneration?: number
  /** ExperimentActive: requests follow it; ExperimentInactive: they do not; ExperimentTerminating. */
  readonly state?: string
  readonly reason?: string
  readonly conditions?: readonly Condition[]
  readonly active?: boolean
  readonly candidatesReady?: boolean
  readonly mirrorReady?: boolean
  readonly createdAt?: string
  readonly candidates?: readonly ExperimentTargetStatus[]
  readonly mirror?: ExperimentTargetStatus
  readonly rollout?: RolloutStatus
  /** What was decided in rollouts, newest last; at most 50. */
  readonly decisions?: readonly RolloutDecision[]
}

/** How far `spec.rollout` has come. */
export interface RolloutStatus {
  /** waiting (for readiness, or for Envoys), measuring, promoted, held, rolledBack. */
  readonly phase: string
  /** From 1. */
  readonly step: number
  readonly steps: number
  /** The canary's share in percent. */
  readonly weight: number
  /** When the next decision is due. */
  readonly decideAt?: string
}

/** Of one candidate, in the window of a decision. */
export interface CandidateFigures {
  readonly requests: number
  readonly errors: number
  /** Requests whose durations are known. */
  readonly timed: number
  readonly errorRate?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

export interface RolloutDecision {
  readonly at: string
  /** From 1. */
  readonly step: number
  readonly weight: number
  /** advance, promote, hold, rollback. */
  readonly outcome: string
  readonly reason: string
  readonly canary: CandidateFigures
  readonly default: CandidateFigures
  /** How often it was made in a row; absent: once. */
  readonly times?: number
}

/** What happened to a resource, for `describe`. */
export interface ResourceEvent {
  readonly atMs: number
  /** Normal or Warning */
  readonly type: string
  readonly reason: string
  readonly message: string
}

export type StoredModel = ModelResource & { readonly status?: ModelStatus }
export type StoredServer = ServerResource & { readonly status?: ServerStatus }
export type StoredPipeline = PipelineResource & { readonly status?: PipelineStatus }
export type StoredExperiment = ExperimentResource & { readonly status?: ExperimentStatus }
export type StoredResource = StoredModel | StoredServer | StoredPipeline | StoredExperiment

/**
 * A resource as the administration API sent it. Only its identity is checked: a newer scheduler may say more.
 * @throws ServingError INVARIANT_BROKEN when it is none.
 */
export function parseStoredResource(json: string): StoredResource {
  const raw = parseJson(json)
  const known =
    isMapping(raw) && KINDS.some((kind) => kind === raw['kind']) && isMapping(raw['metadata']) && isMapping(raw['spec'])
  if (!known) throw new ServingError('INVARIANT_BROKEN', `the scheduler sent no resource but ${subjectOf(raw)}`)
  return raw as unknown as StoredResource
}

function parseJson(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined // reported as no resource
  }
}
