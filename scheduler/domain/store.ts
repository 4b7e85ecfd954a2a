/**
 * What the scheduler needs of its store. Implemented on Redis in `scheduler/store/`; a fake for tests lives in
 * `test/support/`. I7: every write carries the leader's fencing token and is refused when a newer leader exists.
 */
import type {
  EventDocument,
  ExperimentDocument,
  GatewayDocument,
  InternalName,
  ModelDocument,
  ObservedDocument,
  PipelineDocument,
  ReplicaDocument,
  ReplicaKey,
  ServerDocument,
} from './documents.ts'

export type DocumentKind = 'model' | 'server' | 'replica' | 'pipeline' | 'experiment' | 'gateway'
/** Whose events are kept. */
export type EventSubject = `${Exclude<DocumentKind, 'replica' | 'gateway'>}/${string}`
export interface DocumentByKind {
  readonly model: ModelDocument
  readonly server: ServerDocument
  readonly replica: ReplicaDocument
  readonly pipeline: PipelineDocument
  readonly experiment: ExperimentDocument
  readonly gateway: GatewayDocument
}

/** One change of a commit. `document` undefined deletes. `expectedRevision` 0 = must not exist. */
export type Write =
  | {
      readonly kind: 'model'
      readonly name: string
      readonly expectedRevision: number
      readonly document: ModelDocument | undefined
    }
  | {
      readonly kind: 'server'
      readonly name: string
      readonly expectedRevision: number
      readonly document: ServerDocument | undefined
    }
  | {
      readonly kind: 'replica'
      readonly name: ReplicaKey
      readonly expectedRevision: number
      readonly document: ReplicaDocument | undefined
    }
  | {
      readonly kind: 'pipeline'
      readonly name: string
      readonly expectedRevision: number
      readonly document: PipelineDocument | undefined
    }
  | {
      readonly kind: 'experiment'
      readonly name: string
      readonly expectedRevision: number
      readonly document: ExperimentDocument | undefined
    }
  | {
      readonly kind: 'gateway'
      readonly name: string
      readonly expectedRevision: number
      readonly document: GatewayDocument | undefined
    }
  | {
      readonly kind: 'observed'
      readonly replica: ReplicaKey
      readonly name: InternalName
      readonly document: ObservedDocument | undefined
    }
  | { readonly kind: 'event'; readonly subject: EventSubject; readonly event: EventDocument }

export type CommitResult =
  | { readonly kind: 'committed'; readonly revision: number }
  /** Somebody changed a document since it was read: nothing was written. */
  | { readonly kind: 'conflict'; readonly key: string }
  /** A newer leader holds the lease: nothing was written, stop leading. */
  | { readonly kind: 'fenced' }

export interface StoreSnapshot {
  readonly models: readonly ModelDocument[]
  readonly servers: readonly ServerDocument[]
  readonly replicas: readonly ReplicaDocument[]
  readonly pipelines: readonly PipelineDocument[]
  readonly experiments: readonly ExperimentDocument[]
  readonly gateways: readonly GatewayDocument[]
  readonly observed: readonly { readonly replica: ReplicaKey; readonly document: ObservedDocument }[]
  /** The newest commit revision. */
  readonly revision: number
  /** Made when the store was first used: another one means that the state of before is lost (I9). */
  readonly storeId: string
}

export interface StoreChange {
  readonly revision: number
  readonly writes: readonly Write[]
}

/** What Envoys connected to any scheduler have ACKed; expires by itself. */
export interface NodeAck {
  readonly node: string
  readonly scheduler: string
  readonly ackedRevision: number
  readonly silent: boolean
  /** Routes that it refused and that no record tells of yet; a refused route counts as answered in `ackedRevision`. */
  readonly refused?: readonly { readonly target: string; readonly reason: string }[]
  /** For people; absent: its scheduler is of an older version. */
  readonly told?: NodeDetails
}

export interface NodeDetails {
  readonly connectedAtMs: number
  readonly silentSinceMs?: number
  /** Why it is sent nothing (I9). */
  readonly heldBecause?: string
  /** Oldest first; each target or endpoint set once, with what was said of it last. */
  readonly refusals: readonly NodeRefusal[]
}

export interface NodeRefusal {
  readonly atMs: number
  readonly revision: number
  readonly kind: 'route' | 'endpointSet' | 'other'
  /** The target or endpoint set, when one culprit is known. */
  readonly key?: string
  readonly reason: string
}

/** Every method throws ServingError STORE_UNAVAILABLE within the command timeout (2 s at most) when Redis cannot answer. */
export interface Store {
  /** Everything, once, at start. */
  load(): Promise<StoreSnapshot>
  /** All or nothing; documents get `revision` = the commit's revision. */
  commit(writes: readonly Write[]): Promise<CommitResult>
  events(subject: EventSubject): Promise<readonly EventDocument[]>
  /** Changes after `afterRevision` that are there now. @throws ServingError STORE_GAP when some are lost: load again. */
  changesSince(afterRevision: number): Promise<readonly StoreChange[]>
  /** Changes after `afterRevision` made by anybody; for schedulers that do not lead. Ends when the signal aborts. */
  follow(afterRevision: number, signal: AbortSignal): AsyncIterable<StoreChange>
  putAcks(acks: readonly NodeAck[]): Promise<void>
  acks(): Promise<readonly NodeAck[]>
}
