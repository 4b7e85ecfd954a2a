/**
 * What the journal of a pipeline is, for those who record: every edge of a request as a record in Kafka. One journal serves
 * all pipelines of a process.
 *
 * I8: a promise of `record` that was kept means that the broker has the record (or, with `fail-open`, that it lies in the
 * spill file or was counted as lost).
 */
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import type { ServingError } from '../../kit/errors.ts'
import type { RecordKey } from '../kafka/client.ts'
import type { TopicEnd } from './topics.ts'

/** What an edge carried. Any topic may carry an error's text where it carries messages: `<p>.outputs` does. */
export type JournalMessage =
  | { readonly kind: 'request'; readonly request: InferenceRequest }
  | { readonly kind: 'response'; readonly response: InferenceResponse }
  | { readonly kind: 'error'; readonly text: string }
  /** In the form that a reader asked for. */
  | { readonly kind: 'encoded'; readonly bytes: Uint8Array }

/** What a pipeline wants while Kafka does not take its records. */
export const JOURNAL_FAILURES = ['fail-closed', 'fail-open'] as const
export type JournalFailure = (typeof JOURNAL_FAILURES)[number]

export type JournalHeaders = readonly (readonly [name: string, value: string])[]

export interface JournalRecord {
  readonly topic: TopicEnd
  /** See `compositeKey`; of a record that answers another one, that one's. */
  readonly key: RecordKey
  /** From 0 to `partitions` - 1, the same for all records of one request. */
  readonly partition: number
  readonly headers: JournalHeaders
  readonly message: JournalMessage
  readonly onFailure: JournalFailure
  /**
   * Default true: somebody's answer waits for it, so it is sent at once, and when Kafka is away that somebody is told. False:
   * it may wait a moment for company, and through an absence of Kafka, as long as the journal's memory allows.
   */
  readonly awaited?: boolean
  /** It is sent at once although no answer waits for it: it is a result, or an error in place of one. Default `awaited`. */
  readonly urgent?: boolean
}

/** Who is told what became of a record. */
export interface RecordWaiter {
  /** Once. Undefined: Kafka has it, or with `fail-open` the spill file. */
  readonly onRecorded: (error: ServingError | undefined) => void
}

/** Facts for a status and a health page. */
export type JournalStatus =
  | { readonly kind: 'none' }
  | {
      readonly kind: 'kafka'
      readonly available: boolean
      readonly brokers: number
      readonly replicationFactor: number
      /** False: one copy, gone with its disk. `remark` then says so, for people. */
      readonly replicated: boolean
      readonly remark: string
      readonly spilledBytes: number
    }

export interface Journal {
  /** How many partitions every topic has; a request takes one of them. */
  readonly partitions: number
  /**
   * Settles when the broker has acknowledged. Tensors are not copied: nobody may change their bytes before. While Kafka is
   * away an awaited record is refused (fail-closed) or spilled (fail-open) at once.
   * @throws ServingError KAFKA_UNAVAILABLE, JOURNAL_OVERLOADED (the bound of what waits), REQUEST_TOO_LARGE
   */
  record(record: JournalRecord): Promise<void>
  /** The same for those who record for each request: no promises. Nobody is told before it returns. */
  write(record: JournalRecord, waiter?: RecordWaiter): void
  /** Creates what is missing. @throws ServingError KAFKA_UNAVAILABLE, CONFIG_INVALID */
  ensureTopics(ends: readonly TopicEnd[]): Promise<void>
  /** Resolves when what was recorded for these topics is acknowledged, or refused. @throws ServingError KAFKA_UNAVAILABLE when that takes too long */
  untilRecorded(ends: readonly TopicEnd[]): Promise<void>
  /** Topics that are not there are no error. @throws ServingError KAFKA_UNAVAILABLE */
  deleteTopics(ends: readonly TopicEnd[]): Promise<void>
  status(): JournalStatus
  /** Sends what waits, within a deadline, and disconnects. */
  close(): Promise<void>
}

/** Without Kafka: nothing is recorded, nothing is waited for. */
export const nullJournal: Journal = {
  partitions: 1,
  record: () => Promise.resolve(),
  write: (_, waiter) => {
    queueMicrotask(() => waiter?.onRecorded(undefined))
  },
  ensureTopics: () => Promise.resolve(),
  untilRecorded: () => Promise.resolve(),
  deleteTopics: () => Promise.resolve(),
  status: () => ({ kind: 'none' }),
  close: () => Promise.resolve(),
}
