/**
 * The journal in Kafka. Two lanes: what requests begin with (`<pipeline>.inputs`), for which answers usually wait, and all
 * the rest, so that the former never queue behind the latter. What waits is bounded in bytes; while Kafka is away, records
 * are refused, spilled, or wait, as their pipelines say.
 *
 * I8: `record` resolves only after the acknowledgement, or, with `fail-open`, when the record is in the spill file.
 */
import type { Registry } from 'prom-client'
import { atMost, within } from '../../kit/deadline.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { KafkaClient, SendResult } from '../kafka/client.ts'
import { type Availability, createAvailability } from './availability.ts'
import { estimatedBytes } from './encode.ts'
import { Entry } from './entry.ts'
import { createJournalMetrics, type JournalMetrics } from './journal-metrics.ts'
import type { Journal, JournalRecord, JournalStatus, RecordWaiter } from './journal.ts'
import { KafkaTopics, type KafkaTopicsOptions } from './kafka-topics.ts'
import { Lane, type LaneOptions } from './lane.ts'
import { Replay } from './replay.ts'
import { Room } from './room.ts'
import { SpillFile } from './spill-file.ts'
import { type TopicEnd, TopicNames } from './topics.ts'

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
  readonly #names: TopicNames
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
    this.#names = new TopicNames(options.space)
    this.#room = new Room(options.maxWaitingBytes, options.deliveryTimeoutMs)
    this.#spill = new SpillFile(options.spillFile, options.maxSpillBytes)
    const lane = () => new Lane<Entry>(deps.kafka.producer(), options, (sent, results) => this.#onSent(sent, results))
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

  record(record: JournalRecord): Promise<void> {
    return new Promise((resolve, reject) => {
      this.write(record, {
        onRecorded: (error) => {
          if (error === undefined) resolve()
          else reject(error)
        },
      })
    })
  }

  write(record: JournalRecord, waiter?: RecordWaiter): void {
    const bytes = estimatedBytes(record)
    const { maxRecordBytes } = this.#options
    const { topic } = record
    const entry = new Entry(record, this.#names.of(topic), bytes, this.#deps.now(), this.#laneOf(topic), waiter)
    if (this.#closed) entry.tellSoon(new ServingError('CANCELLED', 'the journal is closed'))
    else if (bytes > maxRecordBytes)
      entry.tellSoon(this.#refuse(tooLarge(bytes, `maxRecordBytes ${String(maxRecordBytes)}`)))
    else if (this.#isOutFor(entry)) entry.tellSoon(this.#giveUp(entry, this.#availability.reason))
    else if (this.#room.take(bytes)) this.#add(entry)
    else if (entry.isOpen) entry.tellSoon(this.#giveUp(entry, 'too much waits'))
    else void this.#addWhenThereIsRoom(entry)
  }

  async ensureTopics(ends: readonly TopicEnd[]): Promise<void> {
    if (!this.#availability.available) throw unavailable(this.#availability.reason) // known, so nobody queues for it
    return this.#topics.ensure(ends)
  }

  async untilRecorded(ends: readonly TopicEnd[]): Promise<void> {
    const isOf = ({ record }: Entry): boolean => ends.some((end) => isSameEnd(end, record.topic))
    const { inputs, rest } = this.#lanes
    const entries = [...inputs.unsettled(), ...rest.unsettled()].filter(isOf)
    if (entries.length === 0) return
    const settled = Promise.all(
      entries.map(
        (entry) =>
          new Promise<void>((resolve) => {
            entry.alsoTell(resolve)
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

  /** Known beforehand, so it neither queues nor waits. */
  #isOutFor(entry: Entry): boolean {
    return !this.#availability.available && (entry.awaited || entry.isOpen)
  }

  #add(entry: Entry): void {
    this.#waiting += 1
    entry.lane.add(entry)
  }

  async #addWhenThereIsRoom(entry: Entry): Promise<void> {
    if (!(await this.#room.wait(entry.bytes))) {
      if (!entry.awaited) this.#lost(entry.topic, 'too much waits for Kafka')
      const bound = `maxWaitingBytes ${String(this.#options.maxWaitingBytes)}`
      entry.tell(
        this.#refuse(new ServingError('JOURNAL_OVERLOADED', `records wait for Kafka up to the bound ${bound}`)),
      )
    } else if (this.#closed || this.#isOutFor(entry)) {
      this.#room.give(entry.bytes)
      entry.tell(this.#refuse(unavailable(this.#closed ? 'it is closed' : this.#availability.reason)))
    } else this.#add(entry)
  }

  #settle(entry: Entry, error?: ServingError): void {
    this.#waiting -= 1
    this.#room.give(entry.bytes)
    entry.tell(error)
  }

  /** All of one lane. Undefined: at once. */
  #onSent(sent: readonly Entry[], results: readonly SendResult[]): Promise<void> | undefined {
    for (const { kind } of results) if (kind === 'unknownTopic') return this.#createTopics(sent, results)
    const again: Entry[] = []
    let acknowledged = 0
    let oldestMs = Infinity
    for (let index = 0; index < sent.length; index++) {
      const [entry, result] = [sent[index], results[index]]
      if (entry === undefined || result === undefined) continue
      if (result.kind === 'acknowledged') {
        acknowledged += 1
        oldestMs = Math.min(oldestMs, entry.enqueuedAtMs)
        this.#settle(entry)
      } else if (this.#isSentAgain(entry, result, sent.length)) again.push(entry)
    }
    if (acknowledged > 0) this.#metrics.acknowledged(acknowledged, (this.#deps.now() - oldestMs) / 1_000)
    again[0]?.lane.addFirst(again)
    return undefined
  }

  /** False: it is settled. */
  #isSentAgain(entry: Entry, result: SendResult, together: number): boolean {
    switch (result.kind) {
      case 'acknowledged':
        return false
      case 'tooLarge':
        if (!entry.alone && together > 1) {
          entry.alone = true
          entry.attempts = 0
          return true
        }
        this.#settle(entry, this.#refuse(tooLarge(entry.bytes, `max.message.bytes of the topic ${entry.topic}`)))
        return false
      case 'refused':
        this.#settle(entry, this.#refuse(unavailable(result.reason)))
        return false
      case 'unavailable':
      case 'unknownTopic':
        this.#availability.failed(result.kind === 'unavailable' ? result.reason : `no topic ${entry.topic}`)
        entry.attempts += 1
        if (!entry.awaited && !entry.isOpen && entry.attempts <= MOST_ATTEMPTS) return true
        this.#settleUnsent(entry, this.#availability.reason)
        return false
    }
  }

  /** Somebody deleted them, or they were never asked for: once per record, then it counts as a failure. */
  async #createTopics(sent: readonly Entry[], results: readonly SendResult[]): Promise<void> {
    const isLeft = (_: unknown, index: number): boolean =>
      ['acknowledged', 'tooLarge'].includes(results[index]?.kind ?? '')
    const missing = sent.filter((_, index) => results[index]?.kind === 'unknownTopic')
    const hopeless = missing.some(({ topicEnsured }) => topicEnsured)
    try {
      if (!hopeless) await this.#topics.ensureNames([...new Set(missing.map(({ topic }) => topic))])
    } catch (error) {
      this.#deps.log.warn({ error: String(error) }, 'missing topics could not be created')
    }
    const reason = 'its topic is missing and cannot be created'
    await this.#onSent(sent.filter(isLeft), results.filter(isLeft))
    const again = sent.filter((_, index) => !isLeft(_, index))
    const fresh = again.filter(({ topicEnsured }) => !topicEnsured)
    for (const entry of again.filter(({ topicEnsured }) => topicEnsured)) this.#settleUnsent(entry, reason)
    for (const entry of fresh) {
      entry.topicEnsured = true
      entry.attempts = 0
    }
    fresh[0]?.lane.addFirst(fresh)
  }

  #settleUnsent(entry: Entry, reason: string): void {
    if (entry.awaited || entry.isOpen) this.#settle(entry, this.#giveUp(entry, reason))
    else {
      this.#lost(entry.topic, reason)
      this.#settle(entry, unavailable(reason))
    }
  }

  /** Undefined: it is in the spill file, or counted as lost. Else the refusal, when its pipeline wants it closed. */
  #giveUp(entry: Entry, reason: string): ServingError | undefined {
    if (!entry.isOpen) return this.#refuse(unavailable(reason))
    try {
      const record = entry.encode(true)
      if (this.#spill.append(record)) {
        this.#metrics.spilled()
        if (this.#availability.available) this.#replay.start()
      } else this.#lost(record.topic, 'the spill file is full')
      return undefined
    } catch (error) {
      return toServingError(error) // it has no form as bytes, or the disk takes none
    }
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
      const gone = lane.drain((entry) => entry.awaited || entry.isOpen)
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

const tooLarge = (bytes: number, setting: string): ServingError =>
  new ServingError('REQUEST_TOO_LARGE', `a record of about ${String(bytes)} bytes is more than ${setting} allows`)

const unavailable = (reason: string): ServingError =>
  new ServingError('KAFKA_UNAVAILABLE', `the journal takes no records: ${reason}`)
