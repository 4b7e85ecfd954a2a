/** What a reconciliation may know besides the documents; everything that is not pure is asked here. */
import type { ClusterView } from '../cluster.ts'
import type { EventDocument, ModelDocument } from '../documents.ts'
import type { EnginesView, GatewaysView, ModelGatewaysView } from '../pipeline/gateways-view.ts'
import type { Place } from '../placement-request.ts'

export interface RetryPolicy {
  /** How often one replica is asked to load a version without anybody's help. */
  readonly maxAttempts: number
  /** Wait after the first failure; doubles up to `maxDelayMs`. */
  readonly firstDelayMs: number
  readonly maxDelayMs: number
}

export const DEFAULT_RETRY_POLICY: RetryPolicy = { maxAttempts: 5, firstDelayMs: 1_000, maxDelayMs: 60_000 }

export interface ReconcileContext {
  readonly nowMs: number
  /** Whether every counting node has ACKed everything up to this revision; `no-node`: there is nobody to ask (I2). */
  readonly isAcked: (revision: number) => boolean | 'no-node'
  /** Counting nodes that are sent nothing, because too much of what they have would go (I9): their ACK will not come. */
  readonly heldNodes: () => readonly string[]
  /** Between the ACK and the unload (I3): requests in flight. */
  readonly drainTimeMs: number
  /** The same while no Envoy is connected: one whose stream broke may still follow its last route. */
  readonly noNodeDrainTimeMs: number
  /** How long a replica may be away before its models are replaced (those with no other replica are replaced at once). */
  readonly replicaGraceMs: number
  /** False while the server's expected replicas are awaited after a start: nothing is moved. */
  readonly mayMove: (server: string) => boolean
  /** Whether one more model may start to move now. */
  readonly moveBudget: () => boolean
  readonly retry: RetryPolicy
  readonly place: Place
  readonly gateways: GatewaysView
  readonly engines: EnginesView
  readonly modelGateways: ModelGatewaysView
}

export interface Reconciliation {
  /** Undefined: nothing changed, write nothing. */
  readonly document: ModelDocument | undefined
  readonly events: readonly EventDocument[]
  /** Reconcile again then, if nothing makes it earlier. */
  readonly wakeAtMs?: number
  /** A replica should be replaced and the move budget is spent: reconcile again when it is not. */
  readonly isWithheld: boolean
  /** The deleted model is gone from every replica: delete the record; `document` holds its last status. */
  readonly remove: boolean
}

/** What every step of a reconciliation is given. */
export interface Scene {
  readonly cluster: ClusterView
  readonly context: ReconcileContext
}
