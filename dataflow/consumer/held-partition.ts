/** One partition that is read: what was fetched and waits, what is handed over, when more is wanted. Pure. */
import type { FetchPoint, IncomingRecord } from '../kafka/client.ts'
import { OffsetTracker } from './offset-tracker.ts'

export interface PartitionLimits {
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
}

/** Where the next poll of a partition begins; the same object until that changes. */
export interface HeldPoint extends FetchPoint {
  readonly held: HeldPartition
}

/** Of a record in memory, beside its bytes. */
const OVERHEAD_BYTES = 200

export class HeldPartition {
  /** The broker that leads it; -1: nobody is known to. */
  leader: number
  /** A poll for it is on its way, or it is left alone for a while. */
  isAsked = false
  /** Nothing more of it is handed over or committed. */
  isOver = false
  readonly #limits: PartitionLimits
  readonly #tracker: OffsetTracker
  #point: HeldPoint
  #waiting: IncomingRecord[] = []
  #waitingBytes = 0
  #committed: bigint
  #end: bigint

  /** `isCommitted`: it begins where a commit ended. */
  constructor(begin: FetchPoint, leader: number, limits: PartitionLimits, isCommitted: boolean) {
    this.leader = leader
    this.#limits = limits
    this.#tracker = new OffsetTracker(begin.offset)
    this.#point = { ...begin, held: this }
    this.#end = begin.offset
    this.#committed = isCommitted ? begin.offset : -1n
  }

  get point(): HeldPoint {
    return this.#point
  }

  /** Of what is handed over next. */
  get position(): bigint {
    return this.#waiting[0]?.offset ?? this.#point.offset
  }

  get heldBytes(): number {
    return this.#tracker.bytes + this.#waitingBytes
  }

  get inFlightBytes(): number {
    return this.#tracker.bytes
  }

  get inFlight(): number {
    return this.#tracker.inFlight
  }

  /** Records that are not done, as of what the broker last said. */
  get lag(): number {
    return Math.max(0, Number(this.#end - this.#tracker.committable))
  }

  /** Undefined: everything that is done is committed. */
  get toCommit(): bigint | undefined {
    const { committable } = this.#tracker
    return committable > this.#committed ? committable : undefined
  }

  /** False while what was fetched still waits: then others are asked for, not this one. `isFull`: too much is in flight in all. */
  wantsMore(isFull: boolean): boolean {
    if (this.isOver) return false
    return this.heldBytes === 0 || (!isFull && this.#waiting.length === 0 && this.#mayTake(0))
  }

  /** The broker said where its end is: while nothing is asked for, no poll does. */
  sees(end: bigint): void {
    this.#end = end
  }

  /** Of a poll at `from`; one that began elsewhere changes nothing. */
  fetched(from: bigint, records: readonly IncomingRecord[], next: bigint, end: bigint): void {
    this.#end = end
    if (from !== this.#point.offset) return
    for (const record of records) {
      this.#waiting.push(record)
      this.#waitingBytes += bytesOf(record)
    }
    this.#moveTo(next)
    if (this.#waiting.length === 0) this.#tracker.skipTo(next)
  }

  /** The next record that may be handed over; `done` must follow. */
  take(isFull: boolean): IncomingRecord | undefined {
    const [record] = this.#waiting
    if (record === undefined || this.isOver) return undefined
    const bytes = bytesOf(record)
    if (this.#tracker.inFlight > 0 && (isFull || !this.#mayTake(bytes))) return undefined
    this.#waiting.shift()
    this.#waitingBytes -= bytes
    this.#tracker.take(record.offset, bytes)
    if (this.#waiting.length === 0) this.#tracker.skipTo(this.#point.offset)
    return record
  }

  /** False: it was done before. */
  done(offset: bigint): boolean {
    return this.#tracker.done(offset)
  }

  committed(offset: bigint): void {
    if (offset > this.#committed) this.#committed = offset
  }

  /** Forgets what waits: it is fetched again when there is room. */
  dropWaiting(): void {
    const [first] = this.#waiting
    if (first === undefined) return
    this.#moveTo(first.offset)
    this.#waiting = []
    this.#waitingBytes = 0
  }

  #moveTo(offset: bigint): void {
    if (offset !== this.#point.offset) this.#point = { ...this.#point, offset }
  }

  #mayTake(bytes: number): boolean {
    const { maxInFlight, maxInFlightBytes } = this.#limits
    return this.#tracker.inFlight < maxInFlight && this.#tracker.bytes + bytes <= maxInFlightBytes
  }
}

/** In memory, about. */
export const bytesOf = ({ value, key, headers }: IncomingRecord): number =>
  headers.reduce((sum, [name, text]) => sum + name.length + text.length, value.byteLength + key.length + OVERHEAD_BYTES)
