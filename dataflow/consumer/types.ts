/**
 * Reading topics on behalf of whoever runs what is in them, without membership of a group: the scheduler says who reads what,
 * so nobody's reading pauses when somebody else's begins. Positions are committed in Kafka: at least once.
 */
import type { IncomingRecord } from '../kafka/client.ts'

/** `done` says that everything that the record causes is acknowledged, and that its place may be taken; calling it again changes nothing. */
export type OnRecord = (record: IncomingRecord, done: () => void) => void

export interface ConsumerOptions {
  /** Where reading a topic begins: where this group's commits ended (without one: at the earliest), or at what comes next. */
  readonly from: { readonly kind: 'committed'; readonly group: string } | { readonly kind: 'latest' }
  /** Records of one partition that are handed over and not done; the others wait in Kafka, and disturb no other partition. */
  readonly maxInFlight: number
  /** Bound of the same records' bytes; a single record may be larger. */
  readonly maxInFlightBytes: number
  /** Bound of the bytes held for all partitions; beyond it each partition holds one record at a time. */
  readonly maxHeldBytes: number
  readonly commitEveryMs: number
}

export interface Consumer {
  /**
   * All partitions of a topic, also those that it gets later. Resolves when reading begins, which waits for a topic that is not
   * there yet. What is assigned already stays as it is.
   */
  assign(topic: string): Promise<void>
  /**
   * Nothing more of it is handed over; resolves when all that was is done, or after `waitMs`, and what was done is committed. What
   * is done later is not committed any more: whoever reads next runs it again.
   */
  release(topic: string, waitMs: number): Promise<void>
  /** Of an assigned topic's partition: the offset from which on records are yet to be handed over. Undefined: not known yet. */
  position(topic: string, partition: number): bigint | undefined
  /** Of each assigned topic: records in Kafka that are not done, as of what brokers last said. */
  lag(): ReadonlyMap<string, number>
  /** As `release` for everything, then disconnects. */
  stop(waitMs: number): Promise<void>
}

/** Who reads a topic that others of the same process read too. */
export interface Subscription {
  readonly topic: string
  /** Its positions are committed under this name; each subscriber of a topic has its own. */
  readonly group: string
  /** It takes the records whose header `pipeline` is one of these; undefined: all. */
  readonly takes: ReadonlySet<string> | undefined
  /** Of each partition; undefined: those of the reading. */
  readonly limits?: Pick<ConsumerOptions, 'maxInFlight' | 'maxInFlightBytes'>
  /** May be called again for a record that was done, when that was not committed. */
  readonly onRecord: OnRecord
}

/**
 * Topics that many in one process read, fetched once. A subscriber begins where its group's commits ended (without one: at the
 * present end, which is committed at once) and reads alone until it is where the others are; it does so again when it takes
 * records more slowly than they come, so it holds up nobody.
 */
export interface SharedReading {
  /** Resolves when its reading begins, which waits for a topic that is not there. Once for each topic and group. */
  subscribe(subscription: Subscription): Promise<void>
  /** As a consumer's `release`. */
  unsubscribe(topic: string, group: string, waitMs: number): Promise<void>
  /** By group: records that are there and, as far as is known, not done. */
  lag(): ReadonlyMap<string, number>
  stop(waitMs: number): Promise<void>
}
