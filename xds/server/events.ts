/** What the library tells whoever runs it. */

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
  /** Everything up to this revision is ACKed by it, or refused and reported. -1: not even the first state. */
  readonly ackedRevision: number
  readonly connectedAtMs: number
  /** When it last sent anything; a node with something outstanding and silent for 5 s no longer counts (I2). */
  readonly silentSinceMs: number | undefined
  /**
   * Why it is sent nothing: too much of what it has would go (I9). It ACKs nothing meanwhile and counts, so that nothing is
   * unloaded that it still routes to. Undefined: it is sent what it is owed.
   */
  readonly heldBecause: string | undefined
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
