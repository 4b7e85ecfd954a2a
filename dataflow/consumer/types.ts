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
  /** Of each assigned topic: records in Kafka that are not done, as of what brokers last said. */
  lag(): ReadonlyMap<string, number>
  /** As `release` for everything, then disconnects. */
  stop(waitMs: number): Promise<void>
}
