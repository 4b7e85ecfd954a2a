/**
 * A queue of records before one producer. What comes while a batch is on its way makes the next one; an idle lane sends at
 * once a record that somebody waits for, and lets the others wait a moment for company. All records of a topic go through
 * one lane, because the producer's sequence numbers want one batch of a partition at a time.
 */
import { toServingError } from '../../kit/errors.ts'
import type { Compression, KafkaProducer, OutgoingRecord, SendResult } from '../kafka/client.ts'

/** A record on its way. */
export interface Pending {
  readonly bytes: number
  /** It does not wait for company. */
  readonly urgent: boolean
  readonly enqueuedAtMs: number
  /** Made when it is sent; marked when a broker may have it already. */
  readonly encode: (attempted: boolean) => OutgoingRecord
  /** It was refused in company: it goes alone. */
  alone: boolean
  /** Its topic was missing and was created. */
  topicEnsured: boolean
  /** Sends that ended without an answer: a broker may have it all the same. */
  attempts: number
}

export interface LaneOptions {
  readonly lingerMs: number
  readonly batchBytes: number
  readonly batchRecords: number
  readonly deliveryTimeoutMs: number
  readonly compression: Compression
}

/** Gets one result for each record, in their order; what it returns is waited for before the next batch. */
export type OnSent<P> = (sent: readonly P[], results: readonly SendResult[]) => Promise<void> | undefined

const NO_RESULT: SendResult = { kind: 'unavailable', reason: 'the producer gave no result' }

export class Lane<P extends Pending> {
  readonly #producer: KafkaProducer
  readonly #options: LaneOptions
  readonly #onSent: OnSent<P>
  #queue: P[] = []
  #queuedBytes = 0
  /** Of the queue: those that do not wait for company. */
  #queuedUrgent = 0
  #sending: readonly P[] = []
  #paused = false
  #timer: NodeJS.Timeout | undefined
  #scheduled = false
  #idle: (() => void)[] = []

  constructor(producer: KafkaProducer, options: LaneOptions, onSent: OnSent<P>) {
    this.#producer = producer
    this.#options = options
    this.#onSent = onSent
  }

  /** Milliseconds, as `enqueuedAtMs`, of what waits longest. */
  get oldestMs(): number | undefined {
    return (this.#sending[0] ?? this.#queue[0])?.enqueuedAtMs
  }

  add(pending: P): void {
    this.#queue.push(pending)
    this.#count(pending, 1)
    this.#schedule()
  }

  /** Before everything else, in their order. */
  addFirst(pending: readonly P[]): void {
    this.#queue = [...pending, ...this.#queue]
    for (const one of pending) this.#count(one, 1)
    this.#schedule()
  }

  /** Nothing is sent until `resume`. */
  pause(): void {
    this.#paused = true
  }

  resume(): void {
    this.#paused = false
    this.#schedule()
  }

  /** Takes out what waits. */
  drain(which: (pending: P) => boolean): readonly P[] {
    const taken = this.#queue.filter(which)
    this.#queue = this.#queue.filter((pending) => !which(pending))
    for (const pending of taken) this.#count(pending, -1)
    return taken
  }

  /** What is on its way and what waits. */
  unsettled(): readonly P[] {
    return [...this.#sending, ...this.#queue]
  }

  /** Resolves when nothing is on its way, and, unless it is paused, nothing waits. */
  async settled(): Promise<void> {
    while (this.#sending.length > 0 || (this.#queue.length > 0 && !this.#paused)) {
      this.#flushSoon()
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer)
    this.#paused = true
    await this.#producer.close()
  }

  #count(pending: P, sign: 1 | -1): void {
    this.#queuedBytes += sign * pending.bytes
    if (pending.urgent) this.#queuedUrgent += sign
  }

  #schedule(): void {
    if (this.#paused || this.#sending.length > 0 || this.#queue.length === 0) return
    if (this.#mayWait()) this.#timer ??= setTimeout(this.#flush, this.#options.lingerMs)
    else this.#flushSoon()
  }

  #mayWait(): boolean {
    const { batchBytes, batchRecords } = this.#options
    return this.#queuedUrgent === 0 && this.#queuedBytes < batchBytes && this.#queue.length < batchRecords
  }

  /** After what this turn of the event loop brings: what is recorded together goes together, and calls of models go before it. */
  #flushSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(this.#flushNow)
  }

  readonly #flushNow = (): void => {
    this.#scheduled = false
    this.#flush()
  }

  readonly #flush = (): void => {
    if (this.#timer !== undefined) clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#paused || this.#sending.length > 0 || this.#queue.length === 0) return
    const batch = this.#take()
    this.#sending = batch
    const records: OutgoingRecord[] = []
    let refused: Map<P, SendResult> | undefined
    for (const pending of batch) {
      const record = tryEncode(pending)
      if ('kind' in record) refused = (refused ?? new Map<P, SendResult>()).set(pending, record)
      else records.push(record)
    }
    const { compression, deliveryTimeoutMs: timeoutMs } = this.#options
    void this.#producer.send(records, { compression, timeoutMs }).then((results) => {
      const isOfAll = results.length === batch.length
      const told = this.#onSent(batch, isOfAll ? results : withRefused(batch, results, refused ?? new Map()))
      if (told === undefined) this.#onTold()
      else void told.then(this.#onTold)
    })
  }

  readonly #onTold = (): void => {
    this.#sending = []
    for (const resolve of this.#idle.splice(0)) resolve()
    this.#schedule()
  }

  #take(): readonly P[] {
    const { batchBytes, batchRecords } = this.#options
    let bytes = 0
    let count = 0
    for (const pending of this.#queue) {
      const full = count > 0 && (bytes + pending.bytes > batchBytes || pending.alone)
      if (full || count >= batchRecords) break
      bytes += pending.bytes
      count += 1
      this.#count(pending, -1)
      if (pending.alone) break
    }
    const taken = this.#queue
    this.#queue = taken.splice(count)
    return taken
  }
}

/** A message that was never valid is refused; it must not keep the others. */
function tryEncode(pending: Pending): OutgoingRecord | SendResult {
  try {
    return pending.encode(pending.attempts > 0)
  } catch (error) {
    return { kind: 'refused', reason: `it cannot be written as bytes: ${toServingError(error).message}` }
  }
}

/** `results` are of the others, in their order. */
function withRefused<P>(
  batch: readonly P[],
  results: readonly SendResult[],
  refused: ReadonlyMap<P, SendResult>,
): readonly SendResult[] {
  let sent = 0
  return batch.map((pending) => refused.get(pending) ?? results[sent++] ?? NO_RESULT)
}
