/** Topics that many read, fetched once. Read `types.ts` first, then `follower.ts`. */
import type { Counter, Registry } from 'prom-client'
import { backoffMs, everyMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { headerOf } from '../journal/decode.ts'
import { PIPELINE_HEADER } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import { createSharedReads } from './consumer-metrics.ts'
import { type ConsumerDeps, startConsumer } from './consumer.ts'
import { CatchUp } from './catch-up.ts'
import { Follower } from './follower.ts'
import { GroupCommits } from './group-commits.ts'
import { beginGroup } from './group-begin.ts'
import type { PartitionLimits } from './held-partition.ts'
import type { Consumer, OnRecord, SharedReading, Subscription } from './types.ts'

/** How old the commit of a subscriber may be for whom nothing came. */
const COMMIT_ALL_MS = 30_000
const BEGIN_AGAIN = { minMs: 200, maxMs: 5_000 }

export interface SharedReadingOptions extends PartitionLimits {
  /** Bound of the bytes that all subscribers hold; beyond it each holds one record of a partition at a time. */
  readonly maxHeldBytes: number
  readonly commitEveryMs: number
}

export interface SharedReadingDeps {
  /** Reads a topic from what comes next on; nothing is committed. */
  readonly consumer: (onRecord: OnRecord) => Pick<Consumer, 'assign' | 'release' | 'position' | 'stop'>
  /** Closed at the end. */
  readonly reader: KafkaReader
  readonly registry: Registry
  readonly log: Logger
}

export interface Subscriber extends Subscription {
  readonly followers: Map<number, Follower>
  readonly ending: AbortController
  /** Told when a record is done while it leaves. */
  onDone: (() => void) | undefined
  left: Promise<void> | undefined
}

/** Who reads one topic. */
interface SharedTopic {
  /** By group. */
  readonly subscribers: Map<string, Subscriber>
  /** Those that have begun, by what they take. */
  readonly ofAll: Set<Subscriber>
  readonly byPipeline: Map<string, Set<Subscriber>>
  /** Of each partition: what was handed over last. */
  readonly last: Map<number, bigint>
}

/** On Kafka. Nothing is read before somebody subscribes. */
export function startSharedReading(
  options: SharedReadingOptions,
  { kafka, registry, log, nowMs }: Omit<ConsumerDeps, 'onRecord'>,
): SharedReading {
  const consumer = (onRecord: OnRecord): Consumer =>
    startConsumer({ ...options, from: { kind: 'latest' } }, { kafka, onRecord, registry, log, nowMs })
  return createSharedReading(options, { consumer, reader: kafka.reader(), registry, log })
}

export const createSharedReading = (options: SharedReadingOptions, deps: SharedReadingDeps): SharedReading =>
  new RunningSharedReading(options, deps)

class RunningSharedReading implements SharedReading {
  readonly #options: SharedReadingOptions
  readonly #deps: SharedReadingDeps
  readonly #consumer: ReturnType<SharedReadingDeps['consumer']>
  readonly #topics = new Map<string, SharedTopic>()
  readonly #catchUp: CatchUp<Subscriber>
  readonly #commits: GroupCommits
  readonly #reads: Counter<'way'>
  readonly #stopped = new AbortController()
  readonly #committing: Promise<void>
  #bytes = 0

  constructor(options: SharedReadingOptions, deps: SharedReadingDeps) {
    this.#options = options
    this.#deps = deps
    this.#reads = createSharedReads(deps.registry)
    this.#consumer = deps.consumer((record, done) => {
      this.#onShared(record)
      done() // each subscriber has bounds of its own, and falls behind beyond them
    })
    this.#catchUp = new CatchUp({
      reader: deps.reader,
      shared: ({ topic }, partition) => this.#consumer.position(topic, partition),
      give: (subscriber, follower, record) => this.#give(subscriber, follower, record),
      isFull: () => this.#isFull(),
      onRead: (records) => {
        this.#reads.inc({ way: 'alone' }, records)
      },
      log: deps.log,
    })
    this.#commits = new GroupCommits({
      reader: deps.reader,
      everyMs: options.commitEveryMs,
      shared: (topic, partition) => this.#consumer.position(topic, partition),
      log: deps.log,
    })
    this.#committing = everyMs(COMMIT_ALL_MS, this.#stopped.signal, () => {
      for (const { subscribers } of this.#topics.values())
        for (const one of subscribers.values()) this.#commits.soon(one)
    })
  }

  async subscribe(subscription: Subscription): Promise<void> {
    const { topic, group } = subscription
    await this.#topics.get(topic)?.subscribers.get(group)?.left
    const shared = this.#topics.get(topic) ?? newTopic()
    this.#topics.set(topic, shared)
    if (shared.subscribers.has(group)) return
    const subscriber: Subscriber = {
      ...subscription,
      followers: new Map(),
      ending: new AbortController(),
      onDone: undefined,
      left: undefined,
    }
    shared.subscribers.set(group, subscriber)
    await this.#consumer.assign(topic)
    await this.#begin(shared, subscriber)
  }

  async unsubscribe(topic: string, group: string, waitMs: number): Promise<void> {
    const subscriber = this.#topics.get(topic)?.subscribers.get(group)
    if (subscriber === undefined) return
    subscriber.left ??= this.#leave(subscriber, waitMs)
    await subscriber.left
  }

  lag(): ReadonlyMap<string, number> {
    const lags = new Map<string, number>()
    for (const { subscribers } of this.#topics.values())
      for (const { topic, group, followers } of subscribers.values()) {
        let sum = lags.get(group) ?? 0
        for (const [partition, one] of followers) sum += one.lag(this.#consumer.position(topic, partition))
        lags.set(group, sum)
      }
    return lags
  }

  async stop(waitMs: number): Promise<void> {
    this.#stopped.abort()
    const all = [...this.#topics.values()].flatMap(({ subscribers }) => [...subscribers.values()])
    await Promise.all(all.map(({ topic, group }) => this.unsubscribe(topic, group, waitMs)))
    await Promise.all([this.#commits.stop(), this.#committing, this.#consumer.stop(0)])
    await Promise.all([this.#catchUp.stop(), this.#deps.reader.close()]) // what it waits for ends with the connection
  }

  async #begin(shared: SharedTopic, subscriber: Subscriber): Promise<void> {
    const { topic, group, ending } = subscriber
    const { signal } = ending
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      try {
        const begins = await beginGroup(this.#deps.reader, group, [topic])
        if (signal.aborted) return
        for (const { partition, offset } of begins) this.#follow(subscriber, partition, offset)
        for (const set of placesFor(shared, subscriber)) set.add(subscriber)
        return
      } catch (error) {
        if (attempt === 0)
          this.#deps.log.warn({ topic, group, error: toServingError(error).message }, 'a topic cannot be read yet')
        await pause(backoffMs(attempt, BEGIN_AGAIN), signal)
      }
    }
  }

  #follow(subscriber: Subscriber, partition: number, begin: bigint): Follower {
    const follower = new Follower(begin, subscriber.limits ?? this.#options)
    subscriber.followers.set(partition, follower)
    this.#catchUp.ask(subscriber, partition, follower)
    return follower
  }

  #onShared(record: IncomingRecord): void {
    const { topic, partition, offset } = record
    const shared = this.#topics.get(topic)
    if (shared === undefined) return
    this.#reads.inc({ way: 'shared' })
    const isRemade = offset <= (shared.last.get(partition) ?? -1n)
    if (isRemade) this.#restart(shared, partition, offset)
    shared.last.set(partition, offset)
    for (const one of shared.ofAll) this.#offer(one, record)
    if (shared.byPipeline.size === 0) return
    const pipeline = headerOf(record.headers, PIPELINE_HEADER)
    if (pipeline === undefined) return
    for (const one of shared.byPipeline.get(pipeline) ?? []) this.#offer(one, record)
  }

  #offer(subscriber: Subscriber, record: IncomingRecord): void {
    const { partition, offset } = record
    const follower = subscriber.followers.get(partition) ?? this.#follow(subscriber, partition, 0n) // a new partition
    if (!follower.isWithOthers || follower.isOver || offset < follower.next) return
    follower.skipTo(offset)
    if (!this.#give(subscriber, follower, record)) follower.isWithOthers = false
  }

  /** False: it may hold no more; it goes on, alone, when something of it is done. */
  #give(subscriber: Subscriber, follower: Follower, record: IncomingRecord): boolean {
    if (!isTaken(subscriber, record)) return true
    if (!follower.mayTake(record, this.#isFull())) return false
    const { partition, offset } = record
    this.#change(follower, () => {
      follower.take(record)
    })
    subscriber.onRecord(record, () => {
      const wasFull = this.#isFull()
      this.#change(follower, () => {
        follower.done(offset)
      })
      subscriber.onDone?.()
      if (follower.isOver) return
      this.#commits.soon(subscriber)
      if (!follower.isWithOthers) this.#catchUp.ask(subscriber, partition, follower)
      if (wasFull && !this.#isFull()) this.#catchUp.askAll()
    })
    return true
  }

  #isFull(): boolean {
    return this.#bytes > this.#options.maxHeldBytes
  }

  #change(follower: Follower, work: () => void): void {
    const { bytes } = follower
    work()
    this.#bytes += follower.bytes - bytes
  }

  /** Its topic was deleted and made anew: what was taken of the old one is done some time, and not committed. */
  #restart({ subscribers }: SharedTopic, partition: number, offset: bigint): void {
    for (const subscriber of subscribers.values()) {
      const old = subscriber.followers.get(partition)
      if (old === undefined) continue
      old.isOver = true
      const follower = new Follower(0n, subscriber.limits ?? this.#options)
      follower.skipTo(offset)
      follower.isWithOthers = true
      subscriber.followers.set(partition, follower)
    }
  }

  async #leave(subscriber: Subscriber, waitMs: number): Promise<void> {
    const { topic, group, followers, ending } = subscriber
    const shared = this.#topics.get(topic)
    if (shared === undefined) return
    ending.abort()
    for (const set of placesFor(shared, subscriber)) set.delete(subscriber)
    for (const [pipeline, set] of shared.byPipeline) if (set.size === 0) shared.byPipeline.delete(pipeline)
    const isBusy = (): boolean => [...followers.values()].some(({ inFlight }) => inFlight > 0)
    for (const [partition, follower] of followers) {
      // What the others were given since its last record was nothing for it.
      follower.toCommit(this.#consumer.position(topic, partition))
      follower.isWithOthers = false
      follower.isOver = true
      this.#catchUp.forget(follower)
    }
    if (isBusy()) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        timer = setTimeout(resolve, waitMs)
        subscriber.onDone = () => {
          if (!isBusy()) resolve()
        }
      })
      clearTimeout(timer)
    }
    await this.#commits.last(subscriber)
    shared.subscribers.delete(group)
    if (shared.subscribers.size > 0 || this.#topics.get(topic) !== shared) return
    this.#topics.delete(topic)
    await this.#consumer.release(topic, 0)
  }
}

const newTopic = (): SharedTopic => ({
  subscribers: new Map(),
  ofAll: new Set(),
  byPipeline: new Map(),
  last: new Map(),
})

/** Where a subscriber stands among those who get what it takes. */
function placesFor({ ofAll, byPipeline }: SharedTopic, { takes }: Subscriber): readonly Set<Subscriber>[] {
  if (takes === undefined) return [ofAll]
  return [...takes].map((pipeline) => {
    const known = byPipeline.get(pipeline) ?? new Set()
    byPipeline.set(pipeline, known)
    return known
  })
}

function isTaken({ takes }: Subscriber, { headers }: IncomingRecord): boolean {
  if (takes === undefined) return true
  const pipeline = headerOf(headers, PIPELINE_HEADER)
  return pipeline !== undefined && takes.has(pipeline)
}
