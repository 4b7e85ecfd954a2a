/**
 * Where one subscriber is in one partition: with the others, or behind them and reading alone. It falls behind by itself when it
 * may hold no more. Pure.
 */
import type { IncomingRecord } from '../kafka/client.ts'
import { bytesOf, type PartitionLimits } from './held-partition.ts'
import { OffsetTracker } from './offset-tracker.ts'

export class Follower {
  /** It takes what the others are given; false: it is behind. */
  isWithOthers = false
  /** Nothing more is handed over or committed. */
  isOver = false
  readonly #limits: PartitionLimits
  readonly #tracker: OffsetTracker
  #next: bigint
  #committed: bigint

  /** It begins where its group's commit is. */
  constructor(begin: bigint, limits: PartitionLimits) {
    this.#limits = limits
    this.#tracker = new OffsetTracker(begin)
    this.#next = begin
    this.#committed = begin
  }

  /** Everything before it was taken, or is nothing for this subscriber. */
  get next(): bigint {
    return this.#next
  }

  get inFlight(): number {
    return this.#tracker.inFlight
  }

  get bytes(): number {
    return this.#tracker.bytes
  }

  /** It may fall behind only while something is in flight, whose end lets it go on. `isFull`: too much is held in all. */
  mayTake(record: IncomingRecord, isFull: boolean): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits
    if (this.inFlight === 0) return true
    return !isFull && this.inFlight < maxInFlight && this.bytes + bytesOf(record) <= maxInFlightBytes
  }

  /** Whether reading alone goes on: only with some room, as every turn begins with a fetch. */
  hasRoom(isFull: boolean): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits
    if (this.inFlight === 0) return true
    return !isFull && 2 * this.inFlight <= maxInFlight && 2 * this.bytes <= maxInFlightBytes
  }

  take(record: IncomingRecord): void {
    this.#tracker.take(record.offset, bytesOf(record))
    this.#next = record.offset + 1n
  }

  /** There is nothing for it before. */
  skipTo(next: bigint): void {
    if (next <= this.#next) return
    this.#next = next
    this.#tracker.skipTo(next)
  }

  done(offset: bigint): void {
    this.#tracker.done(offset)
  }

  /** `shared`: where the others are. Undefined: nothing new is done. */
  toCommit(shared: bigint | undefined): bigint | undefined {
    if (this.isWithOthers && shared !== undefined) this.skipTo(shared)
    const { committable } = this.#tracker
    return committable > this.#committed ? committable : undefined
  }

  committed(offset: bigint): void {
    if (offset > this.#committed) this.#committed = offset
  }

  /** Records that are not done: those in flight, and while it is behind those that it has not seen. */
  lag(shared: bigint | undefined): number {
    const behind = this.isWithOthers || shared === undefined ? 0n : shared - this.#next
    return this.inFlight + Math.max(0, Number(behind))
  }
}
