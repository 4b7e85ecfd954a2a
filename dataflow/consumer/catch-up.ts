/**
 * Reads for subscribers that are behind the others, each alone, until it is where they are. A few partitions at a time, each for
 * one fetch and then the next, so that one that is far behind holds up nobody.
 */
import { pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { Follower } from './follower.ts'
import type { Subscription } from './types.ts'
import { Wake } from './wake.ts'

const AT_ONCE = 4
const FETCH = { maxWaitMs: 100, maxBytes: 1024 * 1024 }
const AGAIN_MS = 500

export interface CatchUpDeps<S extends Subscription> {
  readonly reader: KafkaReader
  /** Where the others are. */
  readonly shared: (subscriber: S, partition: number) => bigint | undefined
  /** False: the follower may hold no more; it is asked for again when it may. */
  readonly give: (subscriber: S, follower: Follower, record: IncomingRecord) => boolean
  readonly isFull: () => boolean
  readonly onRead: (records: number) => void
  readonly log: Logger
}

interface Behind<S extends Subscription> {
  readonly subscriber: S
  readonly partition: number
  readonly follower: Follower
}

export class CatchUp<S extends Subscription> {
  readonly #deps: CatchUpDeps<S>
  /** Without those that are being read for. */
  readonly #queue = new Map<Follower, Behind<S>>()
  readonly #reading = new Set<Follower>()
  /** Without room. */
  readonly #waiting = new Map<Follower, Behind<S>>()
  readonly #stopped = new AbortController()
  readonly #wakes = Array.from({ length: AT_ONCE }, () => new Wake())
  readonly #done: Promise<unknown>

  constructor(deps: CatchUpDeps<S>) {
    this.#deps = deps
    this.#done = Promise.all(this.#wakes.map((wake) => this.#run(wake)))
  }

  /** It may go on: with the others if it is where they are. */
  ask(subscriber: S, partition: number, follower: Follower): void {
    if (this.#queue.has(follower) || this.#reading.has(follower)) return
    const behind = { subscriber, partition, follower }
    if (this.#isThere(behind)) {
      this.#waiting.delete(follower)
      return
    }
    if (follower.hasRoom(this.#deps.isFull())) this.#enqueue(behind)
    else this.#waiting.set(follower, behind)
  }

  /** There is room again for all. */
  askAll(): void {
    for (const { subscriber, partition, follower } of this.#waiting.values()) this.ask(subscriber, partition, follower)
  }

  /** It is over. */
  forget(follower: Follower): void {
    this.#waiting.delete(follower)
    this.#queue.delete(follower)
  }

  async stop(): Promise<void> {
    this.#stopped.abort()
    for (const wake of this.#wakes) wake.notify()
    await this.#done
  }

  #enqueue(behind: Behind<S>): void {
    this.#waiting.delete(behind.follower)
    this.#queue.set(behind.follower, behind)
    for (const wake of this.#wakes) wake.notify()
  }

  /** Where the others are: from here on it takes what they are given. */
  #isThere({ subscriber, partition, follower }: Behind<S>): boolean {
    const shared = this.#deps.shared(subscriber, partition)
    if (shared !== undefined && follower.next >= shared) follower.isWithOthers = true
    return follower.isWithOthers || follower.isOver
  }

  async #run(wake: Wake): Promise<void> {
    const { signal } = this.#stopped
    while (!signal.aborted) {
      const next = this.#queue.values().next()
      if (next.done === true) {
        await wake.wait()
        continue
      }
      const { subscriber, partition, follower } = next.value
      this.#queue.delete(follower)
      this.#reading.add(follower)
      const isFailed = await this.#read(next.value)
      if (isFailed) await pause(AGAIN_MS, signal)
      this.#reading.delete(follower)
      this.ask(subscriber, partition, follower)
    }
  }

  /** @returns true when it is of no use to try again at once */
  async #read(behind: Behind<S>): Promise<boolean> {
    const { subscriber, partition, follower } = behind
    const { topic, group } = subscriber
    const from = follower.next
    // Its partition was not found yet by those who read for all.
    if (this.#deps.shared(subscriber, partition) === undefined) return true
    try {
      const { records, next } = await this.#deps.reader.fetch([{ topic, partition, offset: from }], FETCH)
      this.#deps.onRead(records.length)
      for (const record of records) {
        if (follower.isOver) return false
        follower.skipTo(record.offset)
        if (!this.#deps.give(subscriber, follower, record)) return false
      }
      follower.skipTo(next[0]?.offset ?? from)
      return follower.next === from
    } catch (error) {
      const reason = toServingError(error)
      const text = { topic, partition, group, offset: String(from), error: reason.message }
      this.#deps.log.warn(text, 'records cannot be read for one who is behind: tried again')
      if (reason.code === 'NOT_FOUND') await this.#skipGone(behind)
      return true
    }
  }

  /** Records that Kafka has deleted are nobody's any more. */
  async #skipGone({ subscriber: { topic }, partition, follower }: Behind<S>): Promise<void> {
    try {
      const begins = await this.#deps.reader.positions([topic], 'earliest')
      follower.skipTo(begins.find((at) => at.partition === partition)?.offset ?? 0n)
    } catch {
      // the next fetch says what is wrong
    }
  }
}
