/** What a reconciliation of a pipeline may know of the gateways and the engines. */
import type { ReconcileContext } from '../reconcile/context.ts'

/** What a gateway said of one version on its present stream. */
export type Said =
  /** Nothing yet, or it is not connected. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'loaded' }
  /** `retrying`: it is asked again by itself. */
  | { readonly kind: 'failed'; readonly reason: string; readonly retrying: boolean }

/** What a connected gateway is asked of a deleted pipeline: to unload it, and once nobody has it, to delete its topics. */
export type UnloadStep = 'unload' | 'clean'

/** How far one connected gateway is with a step. */
export interface Unload {
  readonly gateway: string
  readonly kind: 'asked' | 'unloaded' | 'failed'
  readonly reason: string
}

export interface GatewaysView {
  /** Names of the gateways that a version must be loaded on before it serves, sorted. */
  readonly needed: () => readonly string[]
  readonly said: (gateway: string, uid: string) => Said
  readonly unloads: (pipeline: string, step: UnloadStep) => readonly Unload[]
  /** What the gateways write to Kafka: without it nothing is there that an engine could read. */
  readonly journal: () => 'none' | 'one copy' | 'kept'
}

/** Those that run the records of a pipeline's input topic. */
export interface EnginesView {
  /** Whether one is connected, or is expected back in a moment. */
  readonly areHere: () => boolean
  /** Who reads this pipeline's inputs. */
  readonly readerOf: (pipeline: string) => string | undefined
  /** What the one that reads this pipeline said of a version of it. */
  readonly said: (pipeline: string, uid: string) => Said
}

/** Those that answer the records of models' input topics. */
export interface ModelGatewaysView {
  /** Whether one is connected, or is expected back in a moment. */
  readonly areHere: () => boolean
  readonly readerOf: (model: string) => string | undefined
}

export type PipelineContext = Pick<
  ReconcileContext,
  'nowMs' | 'isAcked' | 'drainTimeMs' | 'noNodeDrainTimeMs' | 'gateways' | 'engines' | 'modelGateways'
>
