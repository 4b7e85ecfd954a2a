/**
 * The documents that Redis keeps, one per resource. They carry the truth: everything the scheduler does is a function of
 * these, so a restarted scheduler continues where the last one stopped.
 *
 * I6: what users asked and what the scheduler decided (ModelDocument, ServerDocument) and what agents reported
 * (ReplicaDocument, ObservedDocument, GatewayDocument) are separate records; agents and gateways change only the latter.
 */

import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import type { Decision, RolloutState } from './experiment/rollout.ts'

export const SCHEMA_VERSION = 1

/**
 * Written in a `sinceRevision` when the commit that makes the change is not known yet: it means "the commit that writes this
 * document". Read it through `sinceRevisionOf`; every function that changes a model settles it first (`settleRevisions`).
 */
export const NEXT_COMMIT = 0

/** A document's own counter, for compare-and-set: 0 = does not exist yet. */
export interface Versioned {
  readonly schemaVersion: typeof SCHEMA_VERSION
  readonly revision: number
}

/** `<server>/<index>`: one server replica. */
export type ReplicaKey = `${string}/${number}`

/** `<model>_<version>`: how a model version is called inside servers and Envoy. */
export type InternalName = `${string}_${number}`

// ---- what users asked

/** Whether requests go from Envoy to the model server, or through the reverse proxy of the agent beside it. */
export type DataPath = 'direct' | 'agent'

/** The part of a Model whose change makes a new version. */
export interface ModelSpec {
  readonly storageUri: string
  readonly artifactVersion?: number
  readonly requirements: readonly string[]
  /** Absent: artefact size x 1.2 once an agent has seen it. */
  readonly memoryBytes?: number
  /** Pin to this server. */
  readonly server?: string
  readonly parameters: Readonly<Record<string, string>>
  readonly secretName?: string
  readonly explainer?: { readonly type: string; readonly modelRef?: string; readonly pipelineRef?: string }
  readonly llm?: { readonly modelRef?: string; readonly pipelineRef?: string }
}

/** The part of a Model whose change keeps the version. */
export interface DeploymentSpec {
  readonly replicas: number
  readonly minReplicas: number
  readonly maxReplicas: number
  readonly logPayloads: boolean
  readonly cleanTopicsOnDelete: boolean
  readonly streamSpec?: { readonly inputTopic: string; readonly outputTopic: string }
  /** Per-request timeout at Envoy; 0 = none. */
  readonly timeoutMs: number
  /** Absent: as its server has it. */
  readonly dataPath?: DataPath
  /** Absent: an update takes over all at once. */
  readonly rollingUpdate?: RollingUpdate
}

/** How an update goes replica by replica, as Kubernetes has it: a count, or a share of the replicas as `25%`. */
export interface RollingUpdate {
  /** How many more than are wanted may be there. */
  readonly maxSurge: number | string
  /** How many fewer than are wanted may serve. */
  readonly maxUnavailable: number | string
}

export interface KubernetesMeta {
  readonly namespace: string
  readonly generation: number
}

/** One version of a model: its spec and where it is wanted. */
export interface VersionDocument {
  readonly version: number
  readonly spec: ModelSpec
  readonly kubernetesMeta?: KubernetesMeta
  /** The server chosen for it; a version never spans servers. */
  readonly server?: string
  /** Replicas that shall have it loaded (placement). */
  readonly assigned: readonly ReplicaKey[]
  /** How often a failed load was asked for again, by replica; never shrinks, so an answer to an older attempt is known. */
  readonly attempts: Readonly<Record<ReplicaKey, number>>
  /** Where asking again cannot help, by the error's code; until it is applied again. */
  readonly hopeless?: readonly ReplicaKey[]
  /** Why no placement was found, per server; absent when placed. */
  readonly unplaced?: PlacementExplanation
  /**
   * Replicas that leave: out of the route since `sinceRevision`. `unloadAtMs` is 0 until that was ACKed, then the end of the
   * drain time; the copy is unloaded after it (I3).
   */
  readonly leaving: Readonly<Record<ReplicaKey, { readonly sinceRevision: number; readonly unloadAtMs: number }>>
}

/** What Envoy is told of a model: the one record from which routes are translated. */
export interface RouteDocument {
  readonly version: number
  readonly replicas: readonly ReplicaKey[]
  /** Absent: direct. */
  readonly dataPath?: DataPath
  /** During a rolling update: the wanted version's copies, which take traffic in proportion to those that are ready (I5). */
  readonly next?: NextRouteDocument
  /** During a rolling update: with how many replicas this version went into it. */
  readonly had?: number
  /** Commit revision that made this route (or NEXT_COMMIT); Available once every counting node has ACKed it (I2). */
  readonly sinceRevision: number
  /** When the ACK of exactly this route was first seen; absent until then. */
  readonly ackedAtMs?: number
}

export interface NextRouteDocument {
  readonly version: number
  readonly replicas: readonly ReplicaKey[]
  readonly dataPath?: DataPath
  /** How many of them are ready; 0 gives them nothing. */
  readonly weight: number
}

export interface ModelDocument extends Versioned {
  readonly name: string
  readonly deployment: DeploymentSpec
  readonly labels: Readonly<Record<string, string>>
  readonly deleted: boolean
  /** Ascending; the last is what users want, earlier ones serve until it does. */
  readonly versions: readonly VersionDocument[]
  readonly route?: RouteDocument
  /** The last versions' specs, for rollback; at most 10, newest last. */
  readonly history: readonly { readonly version: number; readonly spec: ModelSpec; readonly atMs: number }[]
  /** Set when a route to the routed version was first seen ACKed, so that neither a restart nor a move flaps the status (I2). */
  readonly availableSinceMs?: number
  /** Envoy's own words when it refused the route. */
  readonly refused?: string
  readonly status: ModelStatusDocument
}

export const MODEL_STATES = [
  'ModelProgressing',
  'ModelAvailable',
  'ModelFailed',
  'ModelTerminating',
  'ModelTerminated',
  'ModelTerminateFailed',
  'ScheduleFailed',
  'ModelScaledDown',
] as const
export type ModelState = (typeof MODEL_STATES)[number]

export interface ModelStatusDocument {
  readonly state: ModelState
  readonly reason: string
  /** A failed load is tried again by itself: the state is not the last word. */
  readonly retrying?: true
  readonly availableReplicas: number
  readonly unavailableReplicas: number
  readonly changedAtMs: number
}

export interface ServerDocument extends Versioned {
  readonly name: string
  /** -1: nobody has said. */
  readonly expectedReplicas: number
  readonly minReplicas: number
  readonly maxReplicas: number
  /** May take models that name no server. */
  readonly shared: boolean
  /** Of models that say nothing else; absent: direct. */
  readonly dataPath?: DataPath
  readonly kubernetesMeta?: KubernetesMeta
  /** The resource as applied, podSpec included; stored, not acted upon without an orchestrator. */
  readonly manifest?: Readonly<Record<string, unknown>>
}

/** One version of a pipeline. Gateways know it by its uid, which no other record of the name ever has. */
export interface PipelineVersionDocument {
  readonly version: number
  readonly uid: string
  readonly spec: PipelineSpec
  readonly kubernetesMeta?: KubernetesMeta
  readonly atMs: number
}

export interface PipelineDocument extends Versioned {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly deleted: boolean
  /** Ascending, at most 10; the last is what users want, earlier ones can be rolled back to. */
  readonly versions: readonly PipelineVersionDocument[]
  /** The version that answers. */
  readonly serving?: number
  /** Envoy is told of it, since this commit (or NEXT_COMMIT); the version behind it changes without it. */
  readonly route?: { readonly sinceRevision: number; readonly ackedAtMs?: number }
  /** Deleted and out of the routes since `sinceRevision`; `unloadAtMs` is 0 until that was ACKed (I3). */
  readonly leaving?: { readonly sinceRevision: number; readonly unloadAtMs: number }
  /** Envoy's own words when it refused the route, which was taken back; the next version tries again. */
  readonly refused?: string
  /** Deleted, and to be unloaded from every gateway now. */
  readonly unloading?: true
  /** No gateway has it any more: its topics are to be deleted (`cleanTopicsOnDelete`). */
  readonly cleaning?: true
  readonly status: PipelineStatusDocument
}

export const PIPELINE_STATES = [
  'PipelineCreate',
  'PipelineCreating',
  'PipelineReady',
  'PipelineFailed',
  'PipelineTerminate',
  'PipelineTerminating',
  'PipelineTerminated',
  'PipelineFailedTerminating',
] as const
export type PipelineState = (typeof PIPELINE_STATES)[number]

export interface PipelineStatusDocument {
  readonly state: PipelineState
  readonly reason: string
  /** Models of the wanted version's steps that are not available, sorted. */
  readonly missingModels: readonly string[]
  readonly changedAtMs: number
}

/** Whose traffic is split. Applying it again replaces it; there are no versions. */
export interface ExperimentDocument extends Versioned {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly deleted: boolean
  readonly spec: ExperimentSpec
  readonly kubernetesMeta?: KubernetesMeta
  readonly createdAtMs: number
  /** Those that were all ready once, as one text: it takes traffic even when one of them is not ready any more. */
  readonly activated?: string
  readonly route?: ExperimentRouteDocument
  /** Deleted, and since this commit (or NEXT_COMMIT) without a route: its record goes when every counting node has ACKed that. */
  readonly releasedSince?: number
  /** How far `spec.rollout` has come. */
  readonly rollout?: RolloutState
  /** What was decided in rollouts, and by which figures; at most 50, newest last. */
  readonly decisions?: readonly Decision[]
  readonly status: ExperimentStatusDocument
}

/** What Envoy is told of an experiment: the one record from which its splits are translated. */
export interface ExperimentRouteDocument {
  readonly resourceType: 'model' | 'pipeline'
  /** Whose endpoint it has taken over. */
  readonly default?: string
  /** Those that may take traffic now. */
  readonly candidates: readonly Pick<NonNullable<ExperimentSpec['candidates']>[number], 'name' | 'weight' | 'match'>[]
  readonly mirror?: { readonly name: string; readonly percent: number }
  readonly stickyHeader?: string
  /** A rollout waits for what is measured of the candidates. */
  readonly measured?: boolean
  /** Commit revision that made this route (or NEXT_COMMIT); active once every counting node has ACKed it (I2). */
  readonly sinceRevision: number
  readonly ackedAtMs?: number
  /** The next step of a rollout that was active: it stays so meanwhile. */
  readonly continues?: true
}

/** A candidate or the mirror, as it is now. */
export interface ExperimentTargetDocument {
  readonly name: string
  readonly ready: boolean
  /** Why it is not ready; empty when it is. */
  readonly reason: string
}

export interface ExperimentStatusDocument {
  /** Requests follow it. */
  readonly active: boolean
  readonly reason: string
  readonly candidates: readonly ExperimentTargetDocument[]
  readonly mirror?: ExperimentTargetDocument
  readonly changedAtMs: number
}

// ---- what agents and gateways reported

export interface ReplicaDocument extends Versioned {
  readonly key: ReplicaKey
  readonly server: string
  readonly index: number
  readonly address: string
  readonly restPort: number
  readonly grpcPort: number
  /** These ports speak TLS; absent: plain text. */
  readonly tls?: true
  /** Of the reverse proxy of its agent; absent: it has none. */
  readonly proxy?: { readonly restPort: number; readonly grpcPort: number; readonly tls?: true }
  readonly memoryBytes: number
  readonly overcommitPercentage: number
  readonly capabilities: readonly string[]
  readonly nameSource: 'message' | 'header'
  /** The agent's stream: lost is not the same as the server being down. */
  readonly agent: { readonly kind: 'connected' } | { readonly kind: 'lost'; readonly sinceMs: number }
  readonly health:
    | { readonly kind: 'serving' }
    | { readonly kind: 'reloading' }
    | { readonly kind: 'down'; readonly sinceMs: number; readonly reason: string }
  readonly draining: boolean
}

/** One pipeline gateway. What it holds it says with each connection, so that is not stored. */
export interface GatewayDocument extends Versioned {
  readonly name: string
  /** Where Envoy reaches it. */
  readonly address: string
  readonly restPort: number
  readonly grpcPort: number
  /** These ports speak TLS; absent: plain text. */
  readonly tls?: true
  readonly hasJournal: boolean
  /** What it records has one copy; absent: more, or it has not said. */
  readonly journalUnreplicated?: true
  readonly stream: { readonly kind: 'connected' } | { readonly kind: 'lost'; readonly sinceMs: number }
  /** Envoy may choose it: it has what serves, or nobody else is there. */
  readonly ready: boolean
  readonly draining: boolean
}

/** One model version on one server replica, as its agent last said. */
export interface ObservedDocument {
  readonly internalName: InternalName
  readonly state: 'Loading' | 'Loaded' | 'LoadFailed' | 'Unloading' | 'Unloaded' | 'UnloadFailed'
  readonly reason: string
  /** Of a failed load; absent: its agent says none. */
  readonly code?: string
  readonly artifactBytes: number
  readonly attempt: number
  readonly atMs: number
}

/** Kept for `describe`; at most 50 a resource. */
export interface EventDocument {
  readonly atMs: number
  readonly kind: 'info' | 'warning'
  readonly reason: string
  readonly message: string
}

/** For each server that was considered: what refused it, with the numbers. */
export interface PlacementExplanation {
  readonly reason: string
  readonly servers: readonly { readonly server: string; readonly filter: string; readonly detail: string }[]
}
