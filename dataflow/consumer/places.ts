/**
 * Where partitions are and where reading them begins. Topics are asked about when they are assigned, when a partition was not
 * where it should be, and now and then; those that are not there, and all while Kafka is away, again and again with growing
 * pauses, which hold up no others.
 */
import { backoffMs } from '../../kit/backoff.ts'
import type { Logger } from '../../kit/log.ts'
import type { FetchPoint, KafkaPoller, KafkaReader, Position, TopicFacts } from '../kafka/client.ts'
import { Wake } from './wake.ts'

const BACKOFF = { minMs: 100, maxMs: 5_000 }
/** Topics get partitions now and then. */
const LOOK_AGAIN_MS = 60_000

/** What is held of an assigned topic, for who asks about it. */
export interface PlacedTopic {
  /** Undefined: it was never found. */
  readonly id: string | undefined
  /** Partitions whose place in Kafka is known. */
  readonly held: ReadonlySet<number>
  /** Partitions whose records were gone: they begin at the earliest, whatever was committed. */
  readonly restarted: ReadonlySet<number>
}

export interface Begin {
  readonly point: FetchPoint
  readonly leader: number
  readonly isCommitted: boolean
}

export interface PlacesDeps {
  readonly poller: KafkaPoller
  readonly reader: KafkaReader
  readonly from: { readonly kind: 'committed'; readonly group: string } | { readonly kind: 'latest' }
  /** Undefined: it is not assigned any more. */
  readonly find: (topic: string) => PlacedTopic | undefined
  /** `facts` undefined: there is no such topic. True: every partition has its place. */
  readonly onFound: (topic: string, facts: TopicFacts | undefined, begins: readonly Begin[]) => boolean
  readonly assigned: () => Iterable<string>
  readonly log: Logger
  readonly nowMs: () => number
}

interface Due {
  atMs: number
  attempt: number
}

export class Places {
  readonly #deps: PlacesDeps
  readonly #wake = new Wake()
  readonly #due = new Map<string, Due>()
  #isAway = false
  #isOver = false

  constructor(deps: PlacesDeps) {
    this.#deps = deps
  }

  /** Now, or, when the last answer was of no use, after a pause. */
  askFor(topic: string, wasOfNoUse: boolean): void {
    const attempt = wasOfNoUse ? (this.#due.get(topic)?.attempt ?? -1) + 1 : 0
    const atMs = this.#deps.nowMs() + (wasOfNoUse ? backoffMs(attempt, BACKOFF) : 0)
    this.#due.set(topic, { atMs, attempt })
    this.#wake.notify()
  }

  stop(): void {
    this.#isOver = true
    this.#wake.notify()
  }

  /** Until `stop`; never rejects. */
  async run(): Promise<void> {
    let lookAtMs = this.#deps.nowMs() + LOOK_AGAIN_MS
    while (!this.#isOver) {
      const nowMs = this.#deps.nowMs()
      if (nowMs >= lookAtMs) {
        lookAtMs = nowMs + LOOK_AGAIN_MS
        for (const topic of this.#deps.assigned()) if (!this.#due.has(topic)) this.askFor(topic, false)
      }
      const due = [...this.#due].filter(([, { atMs }]) => atMs <= nowMs).map(([topic]) => topic)
      if (due.length > 0) await this.#ask(due)
      else await this.#wake.wait(Math.max(1, Math.min(lookAtMs, ...this.#dueTimes()) - nowMs))
    }
  }

  *#dueTimes(): Generator<number> {
    for (const { atMs } of this.#due.values()) yield atMs
  }

  async #ask(topics: readonly string[]): Promise<void> {
    const names = topics.filter((topic) => this.#deps.find(topic) !== undefined)
    for (const topic of topics) if (!names.includes(topic)) this.#due.delete(topic)
    if (names.length === 0) return
    try {
      const facts = await this.#deps.poller.topics(names)
      const begins = await this.#begin(names, facts)
      for (const topic of names) {
        const isPlaced = this.#deps.onFound(topic, facts.get(topic), begins.get(topic) ?? [])
        if (isPlaced) this.#due.delete(topic)
        else this.askFor(topic, true)
      }
      if (this.#isAway) this.#deps.log.info({}, 'Kafka answers a consumer again')
      this.#isAway = false
    } catch (error) {
      if (!this.#isAway)
        this.#deps.log.warn({ error: String(error) }, 'Kafka does not answer a consumer: it tries again')
      this.#isAway = true
      for (const topic of names) this.askFor(topic, true)
    }
  }

  /** For partitions that have no place yet. */
  async #begin(
    names: readonly string[],
    facts: ReadonlyMap<string, TopicFacts>,
  ): Promise<ReadonlyMap<string, readonly Begin[]>> {
    const wanted = names.flatMap((topic) => {
      const known = this.#deps.find(topic)
      const fact = facts.get(topic)
      if (known === undefined || fact === undefined) return []
      const isNew = known.id !== undefined && known.id !== fact.id
      return [...fact.leaders.entries()]
        .filter(([partition, leader]) => leader >= 0 && (isNew || !known.held.has(partition)))
        .map(([partition, leader]) => {
          const mayResume = !isNew && !known.restarted.has(partition)
          return { topic, topicId: fact.id, partition, leader, mayResume, isRestart: !mayResume }
        })
    })
    if (wanted.length === 0) return new Map()
    const { from, reader } = this.#deps
    const committed =
      from.kind === 'committed' && wanted.some(({ mayResume }) => mayResume)
        ? keyed(await reader.committed(from.group, [...new Set(wanted.map(({ topic }) => topic))]))
        : new Map<string, bigint>()
    const resumed = wanted.map((one) => ({ ...one, offset: one.mayResume ? committed.get(keyOf(one)) : undefined }))
    const missing = resumed.filter(({ offset }) => offset === undefined)
    const latest = missing.filter(({ isRestart }) => from.kind === 'latest' && !isRestart)
    const earliest = missing.filter((one) => !latest.includes(one))
    const asked = keyed([...(await this.#offsets(latest, 'latest')), ...(await this.#offsets(earliest, 'earliest'))])
    const begins = new Map<string, Begin[]>()
    for (const { topic, topicId, partition, leader, offset: resumedAt } of resumed) {
      const offset = resumedAt ?? asked.get(keyOf({ topic, partition }))
      if (offset === undefined) continue
      const some = begins.get(topic) ?? []
      some.push({ point: { topic, topicId, partition, offset }, leader, isCommitted: resumedAt !== undefined })
      begins.set(topic, some)
    }
    return begins
  }

  async #offsets(
    of: readonly { readonly topic: string; readonly partition: number; readonly leader: number }[],
    at: 'earliest' | 'latest',
  ): Promise<readonly Position[]> {
    const leaders = [...new Set(of.map(({ leader }) => leader))]
    const found = await Promise.all(
      leaders.map((node) => {
        const led = of.filter(({ leader }) => leader === node)
        return this.#deps.poller.offsets(node, led, at)
      }),
    )
    return found.flat()
  }
}

const keyOf = ({ topic, partition }: Pick<Position, 'topic' | 'partition'>): string => `${topic}:${String(partition)}`
const keyed = (positions: readonly Position[]): ReadonlyMap<string, bigint> =>
  new Map(positions.map((position) => [keyOf(position), position.offset]))
