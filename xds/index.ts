/** The xDS library: IR in, Envoy configured over delta ADS. Knows nothing of models. The only file others import. */
export type { ChangeIr, DestinationIr, EndpointIr, EndpointSetIr, RouteIr, SplitIr } from './ir/types.ts'

/** The part of a logger that this library needs. */
export interface XdsLogger {
  error(fields: object, message: string): void
  warn(fields: object, message: string): void
  info(fields: object, message: string): void
  debug(fields: object, message: string): void
}

/** One connected Envoy. */
export interface NodeStatus {
  readonly node: string
  /** Everything up to this revision is ACKed by it. */
  readonly ackedRevision: number
  readonly connectedAtMs: number
  /** When it last sent anything; a node with something outstanding and silent for 5 s no longer counts (I2). */
  readonly silentSinceMs: number | undefined
}

/** A target or endpoint set that Envoy refused; the node keeps its last good version of it. */
export interface Refusal {
  readonly node: string
  readonly revision: number
  readonly kind: 'route' | 'endpointSet' | 'other'
  /** The target or endpoint set id, when one culprit is known. */
  readonly key: string | undefined
  readonly reason: string
}

export interface XdsEvents {
  /** A node reached a revision, connected or disconnected. */
  readonly onNodes: (nodes: readonly NodeStatus[]) => void
  readonly onRefusal: (refusal: Refusal) => void
}
