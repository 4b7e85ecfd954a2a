/**
 * The polls of one broker. One waits long for all partitions together. What becomes wanted meanwhile, because it is new or has
 * room again, need not wait for its end: a second connection asks for those alone, in short turns, until the first returns.
 */
import { backoffMs, pause } from '../../kit/backoff.ts'
import type { KafkaPoller, Polled, PollLane } from '../kafka/client.ts'
import { POLL_LANES } from '../kafka/client.ts'
import type { HeldPartition, HeldPoint } from './held-partition.ts'
import { Wake } from './wake.ts'

/** Idle, a broker is asked twice a second. */
const MAX_WAIT_MS: Readonly<Record<PollLane, number>> = { waiting: 500, urgent: 25 }
const MAX_BYTES = 8 * 1024 * 1024
const MAX_PARTITION_BYTES = 1024 * 1024
const BACKOFF = { minMs: 100, maxMs: 2_000 }

export interface BrokerPollsDeps {
  readonly poller: KafkaPoller
  readonly node: number
  readonly isFull: () => boolean
  readonly onPolled: (news: Polled<HeldPoint>) => void
  /** They stay as they are, but may be led by another broker now. */
  readonly onFailed: (partitions: readonly HeldPartition[], error: unknown) => void
}

export class BrokerPolls {
  /** Those that this broker leads. */
  readonly partitions = new Set<HeldPartition>()
  readonly #deps: BrokerPollsDeps
  readonly #stopped = new AbortController()
  readonly #wakes: Readonly<Record<PollLane, Wake>> = { waiting: new Wake(), urgent: new Wake() }
  readonly #done: Promise<unknown>
  #isWaiting = false

  constructor(deps: BrokerPollsDeps) {
    this.#deps = deps
    this.#done = Promise.all(POLL_LANES.map((lane) => this.#run(lane)))
  }

  /** Something may be wanted that was not. */
  wake(): void {
    this.#wakes[this.#isWaiting ? 'urgent' : 'waiting'].notify()
  }

  /** Resolves when the polls that are out have ended, for which the poller must be closed. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    for (const lane of POLL_LANES) this.#wakes[lane].notify()
    await this.#done
  }

  async #run(lane: PollLane): Promise<void> {
    const { signal } = this.#stopped
    for (let failures = 0; !signal.aborted;) {
      const wanted = lane === 'waiting' || this.#isWaiting ? this.#wanted() : []
      if (wanted.length === 0) {
        await this.#wakes[lane].wait()
        continue
      }
      failures = (await this.#poll(lane, wanted)) ? 0 : failures + 1
      if (failures > 0) await pause(backoffMs(failures - 1, BACKOFF), signal)
    }
  }

  #wanted(): readonly HeldPartition[] {
    const isFull = this.#deps.isFull()
    return [...this.partitions].filter((held) => !held.isAsked && held.wantsMore(isFull))
  }

  async #poll(lane: PollLane, wanted: readonly HeldPartition[]): Promise<boolean> {
    const { poller, node, onPolled, onFailed } = this.#deps
    for (const held of wanted) held.isAsked = true
    if (lane === 'waiting') this.#isWaiting = true
    const release = (): void => {
      for (const held of wanted) held.isAsked = false
      if (lane === 'waiting') this.#isWaiting = false
      this.wake() // the other lane may have found nothing that it could ask for
    }
    try {
      const polled = await poller.poll(
        node,
        lane,
        wanted.map(({ point }) => point),
        { maxWaitMs: MAX_WAIT_MS[lane], maxBytes: MAX_BYTES, maxPartitionBytes: MAX_PARTITION_BYTES },
      )
      release()
      for (const news of polled) onPolled(news)
      return true
    } catch (error) {
      release()
      if (!this.#stopped.signal.aborted) onFailed(wanted, error)
      return false
    }
  }
}
