/**
 * The journal in Kafka. Two lanes: what requests begin with (`<pipeline>.inputs`), for which answers usually wait, and all
 * the rest, so that the former never queue behind the latter. What waits is bounded in bytes; while Kafka is away, records
 * are refused, spilled, or wait, as their pipelines say.
 *
 * I8: `record` resolves only after the acknowledgement, or, with `fail-open`, when the record is in the spill file.
 */
import type { Registry } from 'prom-client'
import { atMost, within } from '../../kit/deadline.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { KafkaClient, OutgoingRecord } from '../kafka/client.ts'
import { type Availability, createAvailability } from './availability.ts'
import { estimatedBytes, toOutgoing } from './encode.ts'
import { createJournalMetrics, type JournalMetrics } from './journal-metrics.ts'
import type { Journal, JournalFailure, JournalRecord, JournalStatus } from './journal.ts'
import { KafkaTopics, type KafkaTopicsOptions } from './kafka-topics.ts'
import { Lane, type LaneOptions, type Pending, type SentRecord } from './lane.ts'
import { Replay } from './replay.ts'
import { Room } from './room.ts'
import { SpillFile } from './spill-file.ts'
import { REPLAYED_HEADER, type TopicEnd, topicName } from './topics.ts'

export interface KafkaJournalOptions extends KafkaTopicsOptions, LaneOptions {
  /** Bound of what waits in memory. */
  readonly maxWaitingBytes: number
  readonly spillFile: string
  readonly maxSpillBytes: number
}

export interface KafkaJournalDeps {
  readonly kafka: KafkaClient
  readonly registry: Registry
  readonly log: Logger
  readonly now: () => number
}

interface Entry extends Pending {
  readonly topic: TopicEnd
  readonly lane: Lane<Entry>
  /** Somebody's answer waits for it. */
  readonly awaited: boolean
  readonly onFailure: JournalFailure
  settle: (error?: ServingError) => void
}

const CLOSE_DEADLINE_MS = 5_000
/** Of a record in the background, each after Kafka answered again. */
const MOST_ATTEMPTS = 20

export function createKafkaJournal(options: KafkaJournalOptions, deps: KafkaJournalDeps): Journal {
  return new KafkaJournal(options, deps)
}

class KafkaJournal implements Journal {
  readonly partitions: number
  readonly #options: KafkaJournalOptions
  readonly #deps: KafkaJournalDeps
  readonly #topics: KafkaTopics
  readonly #admin: ReturnType<KafkaClient['admin']>
  readonly #lanes: { readonly inputs: Lane<Entry>; readonly rest: Lane<Entry> }
  readonly #room: Room
  readonly #spill: SpillFile
  readonly #replay: Replay
  readonly #availability: Availability
  readonly #metrics: JournalMetrics
  #waiting = 0
  #closed = false

  constructor(options: KafkaJournalOptions, deps: KafkaJournalDeps) {
    this.#options = options
    this.#deps = deps
    this.partitions = options.partitions
    this.#admin = deps.kafka.admin()
    this.#topics = new KafkaTopics(this.#admin, options)
    this.#room = new Room(options.maxWaitingBytes, options.deliveryTimeoutMs)
    this.#spill = new SpillFile(options.spillFile, options.maxSpillBytes)
    const lane = () => new Lane<Entry>(deps.kafka.producer(), options, (sent) => this.#onSent(sent))
    this.#lanes = { inputs: lane(), rest: lane() }
    this.#availability = createAvailability({
      ask: () => this.#topics.countBrokers(),
      onDown: (reason) => {
        this.#onDown(reason)
      },
      onUp: () => {
        this.#onUp()
      },
    })
    this.#metrics = createJournalMetrics(deps.registry, {
      waitingRecords: () => this.#waiting,
      waitingBytes: () => this.#room.used,
      lagSeconds: () => this.#lagSeconds(),
      spillBytes: () => this.#spill.bytes,
      available: () => this.#availability.available,
    })
    this.#replay = new Replay({
      producer: deps.kafka.producer(),
      spill: this.#spill,
      options,
      ensureTopics: (names) => this.#topics.ensureNames(names),
      onReplayed: (count) => {
        this.#metrics.replayed(count)
      },
      onLost: (record, reason) => {
        this.#lost(record.topic, reason)
      },
      onUnavailable: (reason) => {
        this.#availability.failed(reason)
      },
    })
    void this.#learn()
  }

  async record(record: JournalRecord): Promise<void> {
    const bytes = estimatedBytes(record)
    const { maxRecordBytes } = this.#options
    if (this.#closed) throw new ServingError('CANCELLED', 'the journal is closed')
    if (bytes > maxRecordBytes) throw this.#refuse(tooLarge(bytes, `maxRecordBytes ${String(maxRecordBytes)}`))
    const awaited = record.awaited ?? true
    const urgent = record.urgent ?? awaited
    const enqueuedAtMs = this.#deps.now()
    const encode = (attempted: boolean): OutgoingRecord =>
      markedIf(attempted, toOutgoing(this.#options.space, record, enqueuedAtMs))
    const { onFailure } = record
    const isOut = (): boolean => !this.#availability.available && (awaited || onFailure === 'fail-open')
    if (isOut()) {
      this.#giveUp({ onFailure, encode }, this.#availability.reason)
      return
    }
    if (!this.#room.take(bytes)) {
      if (onFailure === 'fail-open') {
        this.#giveUp({ onFailure, encode }, 'too much waits')
        return
      }
      await this.#waitForRoom(bytes, record)
      if (this.#closed || isOut()) {
        this.#room.give(bytes)
        throw this.#refuse(unavailable(this.#closed ? 'it is closed' : this.#availability.reason))
      }
    }
    await new Promise<void>((resolve, reject) => {
      this.#waiting += 1
      const settle = (error?: ServingError): void => {
        this.#waiting -= 1
        this.#room.give(bytes)
        if (error) reject(error)
        else resolve()
      }
      const state = { alone: false, topicEnsured: false, attempts: 0 }
      const lane = this.#laneOf(record.topic)
      lane.add({ topic: record.topic, bytes, awaited, urgent, enqueuedAtMs, encode, onFailure, settle, lane, ...state })
    })
  }

  async ensureTopics(ends: readonly TopicEnd[]): Promise<void> {
    if (!this.#availability.available) throw unavailable(this.#availability.reason) // known, so nobody queues for it
    return this.#topics.ensure(ends)
  }

  async untilRecorded(ends: readonly TopicEnd[]): Promise<void> {
    const isOf = ({ topic }: Entry): boolean => ends.some((end) => isSameEnd(end, topic))
    const { inputs, rest } = this.#lanes
    const entries = [...inputs.unsettled(), ...rest.unsettled()].filter(isOf)
    if (entries.length === 0) return
    const settled = Promise.all(
      entries.map(
        (entry) =>
          new Promise<void>((resolve) => {
            const { settle } = entry
            entry.settle = (error) => {
              settle(error)
              resolve()
            }
          }),
      ),
    )
    const { deliveryTimeoutMs } = this.#options
    await within(deliveryTimeoutMs, settled, () =>
      unavailable(`${String(entries.length)} records waited for it and were not acknowledged`),
    )
  }

  deleteTopics(ends: readonly TopicEnd[]): Promise<void> {
    return this.#topics.delete(ends)
  }

  status(): JournalStatus {
    const { replicationFactor, brokers } = this.#topics
    const { available, reason } = this.#availability
    const replicated = replicationFactor > 1
    const copies =
      replicationFactor === 1 ? 'the journal is not replicated: it is gone when its broker loses its disk' : ''
    const remark = available ? copies : `Kafka takes no records: ${reason}`
    return { kind: 'kafka', available, brokers, replicationFactor, replicated, remark, spilledBytes: this.#spill.bytes }
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { inputs, rest } = this.#lanes
    const sent = Promise.all([inputs.settled(), rest.settled()])
    await atMost(CLOSE_DEADLINE_MS, sent)
    this.#availability.stop()
    for (const lane of [inputs, rest]) {
      for (const entry of lane.drain(() => true)) this.#settleUnsent(entry, 'the journal closes')
      await lane.close()
    }
    await this.#replay.close()
    this.#spill.close()
    await this.#admin.close()
  }

  async #learn(): Promise<void> {
    try {
      await this.#topics.countBrokers()
      this.#replay.start()
    } catch (error) {
      this.#availability.failed(error instanceof Error ? error.message : String(error))
    }
  }

  #laneOf(topic: TopicEnd): Lane<Entry> {
    return topic.kind === 'pipeline' && topic.side === 'inputs' ? this.#lanes.inputs : this.#lanes.rest
  }

  async #waitForRoom(bytes: number, { topic, awaited }: JournalRecord): Promise<void> {
    if (await this.#room.wait(bytes)) return
    if (awaited === false) this.#lost(topicName(this.#options.space, topic), 'too much waits for Kafka')
    const bound = `maxWaitingBytes ${String(this.#options.maxWaitingBytes)}`
    throw this.#refuse(new ServingError('JOURNAL_OVERLOADED', `records wait for Kafka up to the bound ${bound}`))
  }

  async #onSent(sent: readonly SentRecord<Entry>[]): Promise<void> {
    if (sent.some(({ result }) => result.kind === 'unknownTopic')) return this.#createTopics(sent)
    const again: Entry[] = []
    for (const { pending, topic, result } of sent) {
      switch (result.kind) {
        case 'acknowledged':
          this.#metrics.acknowledged((this.#deps.now() - pending.enqueuedAtMs) / 1_000)
          pending.settle()
          break
        case 'tooLarge':
          if (!pending.alone && sent.length > 1) {
            pending.alone = true
            pending.attempts = 0
            again.push(pending)
          } else pending.settle(this.#refuse(tooLarge(pending.bytes, `max.message.bytes of the topic ${topic}`)))
          break
        case 'refused':
          pending.settle(this.#refuse(unavailable(result.reason)))
          break
        case 'unavailable':
        case 'unknownTopic':
          this.#availability.failed(result.kind === 'unavailable' ? result.reason : `no topic ${topic}`)
          pending.attempts += 1
          if (pending.awaited || pending.onFailure === 'fail-open' || pending.attempts > MOST_ATTEMPTS)
            this.#settleUnsent(pending, this.#availability.reason)
          else again.push(pending)
      }
    }
    again[0]?.lane.addFirst(again) // all of a batch are of one lane
  }

  /** Somebody deleted them, or they were never asked for: once per record, then it counts as a failure. */
  async #createTopics(sent: readonly SentRecord<Entry>[]): Promise<void> {
    const missing = sent.filter(({ result }) => result.kind === 'unknownTopic')
    const hopeless = missing.some(({ pending }) => pending.topicEnsured)
    try {
      if (!hopeless) await this.#topics.ensureNames([...new Set(missing.map(({ topic }) => topic))])
    } catch (error) {
      this.#deps.log.warn({ error: String(error) }, 'missing topics could not be created')
    }
    const reason = 'its topic is missing and cannot be created'
    const left = sent.filter(({ result }) => result.kind === 'acknowledged' || result.kind === 'tooLarge')
    await this.#onSent(left)
    const again = sent.filter((one) => !left.includes(one)).map(({ pending }) => pending)
    const fresh = again.filter(({ topicEnsured }) => !topicEnsured)
    for (const pending of again.filter(({ topicEnsured }) => topicEnsured)) this.#settleUnsent(pending, reason)
    for (const pending of fresh) {
      pending.topicEnsured = true
      pending.attempts = 0
    }
    fresh[0]?.lane.addFirst(fresh)
  }

  #settleUnsent(entry: Entry, reason: string): void {
    if (!entry.awaited && entry.onFailure === 'fail-closed') {
      this.#lost(entry.encode(false).topic, reason)
      entry.settle(unavailable(reason))
      return
    }
    try {
      this.#giveUp(entry, reason)
      entry.settle()
    } catch (error) {
      entry.settle(error as ServingError)
    }
  }

  /** @throws ServingError KAFKA_UNAVAILABLE when the pipeline wants it closed */
  #giveUp(entry: Pick<Entry, 'onFailure' | 'encode'>, reason: string): void {
    if (entry.onFailure === 'fail-closed') throw this.#refuse(unavailable(reason))
    const record = entry.encode(true)
    if (this.#spill.append(record)) {
      this.#metrics.spilled()
      if (this.#availability.available) this.#replay.start()
    } else this.#lost(record.topic, 'the spill file is full')
  }

  #lost(topic: string, reason: string): void {
    this.#metrics.lost()
    this.#deps.log.error({ topic, reason }, 'a record of the journal is lost')
  }

  #refuse(error: ServingError): ServingError {
    this.#metrics.refused()
    return error
  }

  #onDown(reason: string): void {
    this.#deps.log.warn({ reason }, 'Kafka takes no records')
    const { inputs, rest } = this.#lanes
    for (const lane of [inputs, rest]) {
      lane.pause()
      const gone = lane.drain(({ awaited, onFailure }) => awaited || onFailure === 'fail-open')
      for (const entry of gone) this.#settleUnsent(entry, reason)
    }
  }

  #onUp(): void {
    this.#deps.log.info({ brokers: this.#topics.brokers }, 'Kafka takes records')
    this.#lanes.inputs.resume()
    this.#lanes.rest.resume()
    this.#replay.start()
  }

  #lagSeconds(): number {
    const oldest = [this.#lanes.inputs.oldestMs, this.#lanes.rest.oldestMs].filter((ms) => ms !== undefined)
    return oldest.length === 0 ? 0 : Math.max(0, this.#deps.now() - Math.min(...oldest)) / 1_000
  }
}

const isSameEnd = (a: TopicEnd, b: TopicEnd): boolean =>
  a.kind === 'errors' || b.kind === 'errors'
    ? a.kind === b.kind
    : a.kind === b.kind && a.name === b.name && a.side === b.side

/** What a broker may have already, or what comes later than it should. */
const markedIf = (marked: boolean, record: OutgoingRecord): OutgoingRecord =>
  marked ? { ...record, headers: [...record.headers, [REPLAYED_HEADER, '1']] } : record

const tooLarge = (bytes: number, setting: string): ServingError =>
  new ServingError('REQUEST_TOO_LARGE', `a record of about ${String(bytes)} bytes is more than ${setting} allows`)

const unavailable = (reason: string): ServingError =>
  new ServingError('KAFKA_UNAVAILABLE', `the journal takes no records: ${reason}`)
