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

export interface SentRecord<P extends Pending> {
  readonly pending: P
  readonly topic: string
  readonly result: SendResult
}

const NO_RESULT: SendResult = { kind: 'unavailable', reason: 'the producer gave no result' }

/** Smaller batches gain too little. */
const COMPRESS_FROM_BYTES = 4_096

export class Lane<P extends Pending> {
  readonly #producer: KafkaProducer
  readonly #options: LaneOptions
  readonly #onSent: (sent: readonly SentRecord<P>[]) => Promise<void>
  #queue: P[] = []
  #sending: readonly P[] = []
  #paused = false
  #timer: NodeJS.Timeout | undefined
  #scheduled = false
  #idle: (() => void)[] = []

  constructor(
    producer: KafkaProducer,
    options: LaneOptions,
    onSent: (sent: readonly SentRecord<P>[]) => Promise<void>,
  ) {
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
    this.#schedule()
  }

  /** Before everything else, in their order. */
  addFirst(pending: readonly P[]): void {
    this.#queue = [...pending, ...this.#queue]
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

  #schedule(): void {
    if (this.#paused || this.#sending.length > 0 || this.#queue.length === 0) return
    if (this.#mayWait()) this.#timer ??= setTimeout(() => void this.#flush(), this.#options.lingerMs)
    else this.#flushSoon()
  }

  #mayWait(): boolean {
    const { batchBytes, batchRecords } = this.#options
    if (this.#queue.length >= batchRecords) return false
    let bytes = 0
    for (const pending of this.#queue) {
      bytes += pending.bytes
      if (pending.urgent || bytes >= batchBytes) return false
    }
    return true
  }

  /** After what this turn of the event loop brings: what is recorded together goes together, and calls of models go before it. */
  #flushSoon(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      void this.#flush()
    })
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (this.#paused || this.#sending.length > 0 || this.#queue.length === 0) return
    const batch = this.#take()
    this.#sending = batch
    const encoded = batch.map((pending) => ({ pending, ...tryEncode(pending) }))
    const records = encoded.map(({ record }) => record).filter((record) => record !== undefined)
    const { compression, deliveryTimeoutMs: timeoutMs } = this.#options
    const worth = batch.reduce((sum, { bytes }) => sum + bytes, 0) >= COMPRESS_FROM_BYTES
    const results = await this.#producer.send(records, { compression: worth ? compression : 'none', timeoutMs })
    const resultOf = new Map(records.map((record, index) => [record, results[index] ?? NO_RESULT]))
    await this.#onSent(
      encoded.map(({ pending, record, refusal }) => ({
        pending,
        topic: record?.topic ?? '',
        result: refusal ?? (record && resultOf.get(record)) ?? NO_RESULT,
      })),
    )
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
      if (pending.alone) break
    }
    return this.#queue.splice(0, count)
  }
}

/** A message that was never valid is refused; it must not keep the others. */
function tryEncode(pending: Pending): { readonly record?: OutgoingRecord; readonly refusal?: SendResult } {
  try {
    return { record: pending.encode(pending.attempts > 0) }
  } catch (error) {
    return { refusal: { kind: 'refused', reason: `it cannot be written as bytes: ${toServingError(error).message}` } }
  }
}
