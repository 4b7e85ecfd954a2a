/** Reads assigned topics, hands their records over, and commits what is done. Read `types.ts` first. */
import type { Counter, Registry } from 'prom-client'
import { backoffMs, everyMs } from '../../kit/backoff.ts'
import type { Logger } from '../../kit/log.ts'
import type { KafkaClient, KafkaPoller, KafkaReader, Polled, Position, TopicFacts } from '../kafka/client.ts'
import { BrokerPolls } from './broker-polls.ts'
import { createConsumerMetrics } from './consumer-metrics.ts'
import { HeldPartition, type HeldPoint } from './held-partition.ts'
import { type Begin, Places } from './places.ts'
import type { Consumer, ConsumerOptions, OnRecord } from './types.ts'

/** A partition with records that nobody can read is left alone for so long. */
const UNREADABLE_MS = 30_000
/** How old the lag of partitions may be that are not asked for, since their records wait here. */
const LOOK_AT_ENDS_MS = 2_000
const COMMIT_AGAIN = { minMs: 500, maxMs: 5_000 }

export interface ConsumerDeps {
  readonly kafka: KafkaClient
  /** Must not throw. */
  readonly onRecord: OnRecord
  readonly registry: Registry
  readonly log: Logger
  readonly nowMs: () => number
}

interface AssignedTopic {
  id: string | undefined
  readonly partitions: Map<number, HeldPartition>
  readonly restarted: Set<number>
  readonly placed: Promise<void>
  readonly setPlaced: () => void
}

/** Nothing is read before something is assigned. */
export const startConsumer = (options: ConsumerOptions, deps: ConsumerDeps): Consumer =>
  new RunningConsumer(options, deps)

class RunningConsumer implements Consumer {
  readonly #options: ConsumerOptions
  readonly #deps: ConsumerDeps
  readonly #poller: KafkaPoller
  readonly #reader: KafkaReader
  readonly #places: Places
  readonly #placing: Promise<void>
  readonly #looking: Promise<void>
  readonly #gaps: Counter
  readonly #topics = new Map<string, AssignedTopic>()
  readonly #releasing = new Map<string, Promise<void>>()
  readonly #brokers = new Map<number, BrokerPolls>()
  /** Released, with records in flight; told when one is done. */
  readonly #leaving = new Map<HeldPartition, () => void>()
  readonly #pumping = new Set<HeldPartition>()
  /** Handed over; and with what waits for that. */
  readonly #bytes = { inFlight: 0, held: 0 }
  #commitTimer: NodeJS.Timeout | undefined
  #commitFailures = 0
  #committing: Promise<void> = Promise.resolve()
  readonly #stopped = new AbortController()

  constructor(options: ConsumerOptions, deps: ConsumerDeps) {
    this.#options = options
    this.#deps = deps
    this.#poller = deps.kafka.poller()
    this.#reader = deps.kafka.reader()
    this.#gaps = createConsumerMetrics(deps.registry)
    this.#places = new Places({
      poller: this.#poller,
      reader: this.#reader,
      from: options.from,
      find: (topic) => {
        const found = this.#topics.get(topic)
        return found && { id: found.id, held: new Set(found.partitions.keys()), restarted: found.restarted }
      },
      onFound: (topic, facts, begins) => this.#onFound(topic, facts, begins),
      assigned: () => this.#topics.keys(),
      log: deps.log,
      nowMs: deps.nowMs,
    })
    this.#placing = this.#places.run()
    this.#looking = everyMs(LOOK_AT_ENDS_MS, this.#stopped.signal, () => this.#lookAtEnds())
  }

  async assign(topic: string): Promise<void> {
    for (let leaving = this.#releasing.get(topic); leaving; leaving = this.#releasing.get(topic)) await leaving
    const known = this.#topics.get(topic)
    if (known !== undefined) return known.placed
    let setPlaced = (): void => undefined
    const placed = new Promise<void>((resolve) => {
      setPlaced = resolve
    })
    this.#topics.set(topic, { id: undefined, partitions: new Map(), restarted: new Set(), placed, setPlaced })
    this.#places.askFor(topic, false)
    await placed
  }

  async release(topic: string, waitMs: number): Promise<void> {
    const found = this.#topics.get(topic)
    if (found === undefined) return this.#releasing.get(topic)
    this.#topics.delete(topic)
    found.setPlaced()
    const released = this.#drain([...found.partitions.values()], waitMs)
    this.#releasing.set(topic, released)
    await released
    this.#releasing.delete(topic)
  }

  position(topic: string, partition: number): bigint | undefined {
    return this.#topics.get(topic)?.partitions.get(partition)?.position
  }

  lag(): ReadonlyMap<string, number> {
    return new Map(
      [...this.#topics].map(([topic, { partitions }]) => [
        topic,
        [...partitions.values()].reduce((sum, held) => sum + held.lag, 0),
      ]),
    )
  }

  async stop(waitMs: number): Promise<void> {
    this.#places.stop()
    await Promise.all([...this.#topics.keys()].map((topic) => this.release(topic, waitMs)))
    await Promise.all(this.#releasing.values())
    clearTimeout(this.#commitTimer)
    this.#stopped.abort()
    const polls = [...this.#brokers.values()].map((broker) => broker.stop())
    await this.#poller.close()
    await Promise.all([...polls, this.#placing, this.#looking])
    await this.#reader.close()
  }

  #onFound(topic: string, facts: TopicFacts | undefined, begins: readonly Begin[]): boolean {
    const found = this.#topics.get(topic)
    if (found === undefined) return true
    if (facts?.id !== found.id) {
      for (const held of found.partitions.values()) this.#drop(held) // deleted: nobody can commit there
      found.partitions.clear()
      if (facts === undefined && found.id !== undefined) this.#deps.log.warn({ topic }, 'a topic that is read is gone')
    }
    if (facts === undefined) return false
    found.id = facts.id
    for (const { point, leader, isCommitted } of begins) {
      if (found.partitions.has(point.partition)) continue
      found.partitions.set(point.partition, new HeldPartition(point, leader, this.#options, isCommitted))
      found.restarted.delete(point.partition)
    }
    for (const [partition, held] of found.partitions) this.#leadBy(held, facts.leaders[partition] ?? -1)
    const isPlaced = facts.leaders.every((leader, partition) => leader >= 0 && found.partitions.has(partition))
    if (isPlaced) found.setPlaced()
    return isPlaced
  }

  #leadBy(held: HeldPartition, leader: number): void {
    if (held.leader !== leader) this.#brokers.get(held.leader)?.partitions.delete(held)
    held.leader = leader
    if (leader < 0) return
    const broker =
      this.#brokers.get(leader) ??
      new BrokerPolls({
        poller: this.#poller,
        node: leader,
        isFull: () => this.#isFull(),
        onPolled: (news) => {
          this.#onPolled(news)
        },
        onFailed: (partitions, error) => {
          this.#onFailed(leader, partitions, error)
        },
      })
    this.#brokers.set(leader, broker)
    broker.partitions.add(held)
    broker.wake()
  }

  async #lookAtEnds(): Promise<void> {
    for (const [node, { partitions }] of this.#brokers) {
      const unasked = [...partitions].filter((held) => !held.isAsked && held.inFlight > 0)
      if (unasked.length === 0) continue
      try {
        const ends = await this.#poller.offsets(
          node,
          unasked.map(({ point }) => point),
          'latest',
        )
        for (const { topic, partition, offset } of ends)
          this.#topics.get(topic)?.partitions.get(partition)?.sees(offset)
      } catch {
        // the polls find out what is wrong, and say so
      }
    }
  }

  /** It is read no more; what is in flight of it is nobody's any more. */
  #drop(held: HeldPartition): void {
    held.isOver = true
    this.#brokers.get(held.leader)?.partitions.delete(held)
    this.#change(held, () => {
      held.dropWaiting()
    })
  }

  #onPolled(news: Polled<HeldPoint>): void {
    const { held, topic, partition, offset } = news.point
    if (held.isOver) return
    switch (news.kind) {
      case 'records':
        this.#change(held, () => {
          held.fetched(offset, news.records, news.next, news.end)
        })
        this.#pump(held)
        if (held.toCommit !== undefined) this.#commitSoon()
        break
      case 'outOfRange':
        this.#gaps.inc()
        this.#deps.log.warn(
          { topic, partition, offset: String(offset) },
          'records were gone before they were read: reading goes on at the earliest',
        )
        this.#drop(held)
        this.#topics.get(topic)?.partitions.delete(partition)
        this.#topics.get(topic)?.restarted.add(partition)
        this.#places.askFor(topic, false)
        break
      case 'elsewhere':
        this.#leadBy(held, -1)
        this.#places.askFor(topic, true)
        break
      case 'unreadable':
        this.#deps.log.error(
          { topic, partition, offset: String(offset), reason: news.reason },
          'records cannot be read: their partition is tried again later',
        )
        held.isAsked = true
        setTimeout(() => {
          held.isAsked = false
          this.#brokers.get(held.leader)?.wake()
        }, UNREADABLE_MS).unref()
    }
  }

  #onFailed(node: number, partitions: readonly HeldPartition[], error: unknown): void {
    this.#deps.log.warn({ broker: node, error: String(error) }, 'a broker cannot be read from: it is tried again')
    for (const topic of new Set(partitions.map(({ point }) => point.topic))) this.#places.askFor(topic, true)
  }

  /** Hands over what may be. */
  #pump(held: HeldPartition): void {
    if (this.#pumping.has(held)) return // a record was done at once
    this.#pumping.add(held)
    for (;;) {
      const record = this.#change(held, () => held.take(this.#isFull()))
      if (record === undefined) break
      const { offset } = record
      this.#deps.onRecord(record, () => {
        this.#onDone(held, offset)
      })
    }
    this.#pumping.delete(held)
    if (this.#bytes.held > this.#options.maxHeldBytes)
      this.#change(held, () => {
        held.dropWaiting()
      })
    if (held.wantsMore(this.#isFull())) this.#brokers.get(held.leader)?.wake()
  }

  #onDone(held: HeldPartition, offset: bigint): void {
    const wasFull = this.#isFull()
    this.#change(held, () => held.done(offset))
    this.#leaving.get(held)?.()
    if (held.isOver) return
    this.#commitSoon()
    this.#pump(held)
    if (wasFull && !this.#isFull()) for (const broker of this.#brokers.values()) broker.wake()
  }

  #isFull(): boolean {
    return this.#bytes.inFlight > this.#options.maxHeldBytes
  }

  #change<T>(held: HeldPartition, work: () => T): T {
    const { heldBytes, inFlightBytes } = held
    const result = work()
    this.#bytes.held += held.heldBytes - heldBytes
    this.#bytes.inFlight += held.inFlightBytes - inFlightBytes
    return result
  }

  async #drain(partitions: readonly HeldPartition[], waitMs: number): Promise<void> {
    for (const held of partitions) this.#drop(held)
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, waitMs)
    })
    const ended = Promise.all(
      partitions
        .filter(({ inFlight }) => inFlight > 0)
        .map(
          (held) =>
            new Promise<void>((resolve) => {
              this.#leaving.set(held, () => {
                if (held.inFlight === 0) resolve()
              })
            }),
        ),
    )
    await Promise.race([ended, late])
    clearTimeout(timer)
    await this.#commit(() => partitions)
    for (const held of partitions) this.#leaving.delete(held)
  }

  #commitSoon(): void {
    if (this.#options.from.kind !== 'committed') return
    const waitMs =
      this.#commitFailures === 0 ? this.#options.commitEveryMs : backoffMs(this.#commitFailures, COMMIT_AGAIN)
    this.#commitTimer ??= setTimeout(() => {
      this.#commitTimer = undefined
      void this.#commit(() => [...this.#topics.values()].flatMap(({ partitions }) => [...partitions.values()]))
    }, waitMs)
  }

  /** One after the other, so that none overtakes a later one. */
  #commit(of: () => readonly HeldPartition[]): Promise<void> {
    this.#committing = this.#committing.then(() => this.#commitNow(of()))
    return this.#committing
  }

  async #commitNow(partitions: readonly HeldPartition[]): Promise<void> {
    const { from } = this.#options
    if (from.kind !== 'committed') return
    const due: { held: HeldPartition; position: Position }[] = []
    for (const held of partitions) {
      const { topic, partition } = held.point
      const offset = held.toCommit
      if (offset !== undefined) due.push({ held, position: { topic, partition, offset } })
    }
    if (due.length === 0) return
    try {
      await this.#reader.commit(
        from.group,
        due.map(({ position }) => position),
      )
      for (const { held, position } of due) held.committed(position.offset)
      this.#commitFailures = 0
    } catch (error) {
      this.#commitFailures += 1
      this.#deps.log.warn({ group: from.group, error: String(error) }, 'offsets cannot be committed: tried again')
      this.#commitSoon()
    }
  }
}
