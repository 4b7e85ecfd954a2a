/**
 * Kafka's fetch protocol, for who reads many partitions for ever. The library's own consumer begins a session at every fetch
 * and fails as a whole when one partition does; so its wire format is used alone.
 */
import {
  type ConnectionPool,
  fetchV15,
  GenericError,
  listOffsetsV7,
  UnsupportedCompressionError,
} from '@platformatic/kafka'
import { ServingError } from '../../kit/errors.ts'
import { readBatches } from './batches.ts'
import { Brokers } from './brokers.ts'
import type { FetchPoint, KafkaPoller, Polled, PollLane, PollOptions, Position, TopicFacts } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, despiteErrors, isRecordWith, reasonOf, toKafkaError } from './failures.ts'
import { FetchSession } from './fetch-session.ts'
import { AT, byTopic } from './reader.ts'

/** How long an answer may take beyond the wait that was asked for. */
const LATE_MS = 5_000
const READ_UNCOMMITTED = 0
const ANY_REPLICA = -1
const UNKNOWN_EPOCH = -1
/** A broker with this epoch remembers nothing. */
const NO_SESSION = { sessionId: 0, epoch: -1, forgotten: [] } as const
/** The broker does not know the session that we mean: it is begun anew. */
const SESSION_CODES: ReadonlySet<number> = new Set([70, 71, 106])

type FetchResponse = fetchV15.FetchResponse

export function createPoller(connection: KafkaConnection, clientId: string): KafkaPoller {
  return new Poller(connection, clientId)
}

class Poller implements KafkaPoller {
  readonly #brokers: Brokers
  readonly #lanes: Readonly<Record<PollLane, ConnectionPool>>
  readonly #sessions = new Map<number, FetchSession>()

  constructor(connection: KafkaConnection, clientId: string) {
    this.#brokers = new Brokers(connection, clientId)
    this.#lanes = { waiting: this.#brokers.pool(), urgent: this.#brokers.pool() }
  }

  topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicFacts>> {
    return this.#brokers.topics(names)
  }

  async offsets(node: number, of: readonly Pick<Position, 'topic' | 'partition'>[], at: keyof typeof AT) {
    try {
      const connection = await this.#brokers.toAsk(node)
      const topics = byTopic(of).map(([name, some]) => ({
        name,
        partitions: some.map(({ partition }) => ({
          partitionIndex: partition,
          currentLeaderEpoch: UNKNOWN_EPOCH,
          timestamp: AT[at],
        })),
      }))
      const asked = listOffsetsV7.api.async(connection, ANY_REPLICA, READ_UNCOMMITTED, topics)
      const answer = await despiteErrors(asked, isListOffsets)
      return answer.topics.flatMap(({ name, partitions }) =>
        partitions
          .filter(({ errorCode }) => errorCode === CODE.none)
          .map(({ partitionIndex, offset }) => ({ topic: name, partition: partitionIndex, offset })),
      )
    } catch (error) {
      throw toKafkaError('offsets cannot be asked for', error)
    }
  }

  async poll<P extends FetchPoint>(node: number, lane: PollLane, points: readonly P[], options: PollOptions) {
    try {
      return await (lane === 'waiting'
        ? this.#pollWithSession(node, points, options)
        : this.#pollOnce(node, lane, points, options))
    } catch (error) {
      if (!isUnreadable(error)) throw toKafkaError('records cannot be read', error)
      return await this.#isolate(node, lane, points, options, error.message)
    }
  }

  async close(): Promise<void> {
    await this.#brokers.close()
  }

  async #pollWithSession<P extends FetchPoint>(node: number, points: readonly P[], options: PollOptions) {
    const session = this.#sessions.get(node) ?? new FetchSession()
    this.#sessions.set(node, session)
    try {
      let answer = await this.#fetch(node, 'waiting', session.next(points), options)
      if (SESSION_CODES.has(answer.errorCode)) {
        session.reset()
        answer = await this.#fetch(node, 'waiting', session.next(points), options)
      }
      if (answer.errorCode !== CODE.none) throw new Error(`Kafka's error ${String(answer.errorCode)}`)
      session.accepted(answer.sessionId)
      return toPolled(points, answer)
    } catch (error) {
      session.reset()
      throw error
    }
  }

  async #pollOnce<P extends FetchPoint>(node: number, lane: PollLane, points: readonly P[], options: PollOptions) {
    const answer = await this.#fetch(node, lane, { told: points, ...NO_SESSION }, options)
    if (answer.errorCode !== CODE.none) throw new Error(`Kafka's error ${String(answer.errorCode)}`)
    return toPolled(points, answer)
  }

  /** One partition's bytes made the whole answer unreadable: finds it by halves, so that it stops no other. */
  async #isolate<P extends FetchPoint>(
    node: number,
    lane: PollLane,
    points: readonly P[],
    options: PollOptions,
    reason: string,
  ): Promise<readonly Polled<P>[]> {
    const [point] = points
    if (point !== undefined && points.length === 1) return [{ point, kind: 'unreadable', reason }]
    const middle = Math.ceil(points.length / 2)
    const polled: Polled<P>[] = []
    for (const half of [points.slice(0, middle), points.slice(middle)]) {
      try {
        polled.push(...(await this.#pollOnce(node, lane, half, { ...options, maxWaitMs: 0 })))
      } catch (error) {
        if (!isUnreadable(error)) throw toKafkaError('records cannot be read', error)
        polled.push(...(await this.#isolate(node, lane, half, options, error.message)))
      }
    }
    return polled
  }

  async #fetch(
    node: number,
    lane: PollLane,
    request: ReturnType<FetchSession['next']>,
    { maxWaitMs, maxBytes, maxPartitionBytes }: PollOptions,
  ): Promise<FetchResponse> {
    const connection = await this.#lanes[lane].get(this.#brokers.of(node))
    const topics = byTopicId(request.told).map(([topicId, some]) => ({
      topicId,
      partitions: some.map(({ partition, offset }) => ({
        partition,
        currentLeaderEpoch: UNKNOWN_EPOCH,
        fetchOffset: offset,
        lastFetchedEpoch: UNKNOWN_EPOCH,
        partitionMaxBytes: maxPartitionBytes,
      })),
    }))
    const forgotten = byTopicId(request.forgotten).map(([topic, some]) => ({
      topic,
      partitions: some.map(({ partition }) => partition),
    }))
    const { sessionId, epoch } = request
    const sent = fetchV15.api.async(
      connection,
      maxWaitMs,
      1,
      maxBytes,
      READ_UNCOMMITTED,
      sessionId,
      epoch,
      topics,
      forgotten,
      '',
    )
    const late = setTimeout(() => void connection.close().catch(() => undefined), maxWaitMs + LATE_MS) // ends the request
    try {
      return await readable(despiteErrors(sent, isFetch))
    } finally {
      clearTimeout(late)
    }
  }
}

const isListOffsets = (value: unknown): value is listOffsetsV7.ListOffsetsResponse => isRecordWith(value, 'topics')
const isFetch = (value: unknown): value is FetchResponse => isRecordWith(value, 'responses')

/** What cannot be read is told apart from a connection or a broker that fails: those the library wraps in errors of its own. */
const isUnreadable = (error: unknown): error is ServingError =>
  error instanceof ServingError && error.code === 'PEER_FAILED'

async function readable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof GenericError && !(error instanceof UnsupportedCompressionError)) throw error
    throw new ServingError('PEER_FAILED', reasonOf(error), { cause: error })
  }
}

function toPolled<P extends FetchPoint>(points: readonly P[], { responses }: FetchResponse): readonly Polled<P>[] {
  if (responses.length === 0) return []
  // A thousand may be asked for where one has news.
  const answered = new Set(responses.map(({ topicId }) => topicId))
  const asked = new Map<string, P>()
  for (const point of points)
    if (answered.has(point.topicId)) asked.set(`${point.topicId}:${String(point.partition)}`, point)
  return responses.flatMap(({ topicId, partitions }) =>
    partitions.flatMap((found): Polled<P>[] => {
      const point = asked.get(`${topicId}:${String(found.partitionIndex)}`)
      if (point === undefined) return []
      if (found.errorCode === CODE.offsetOutOfRange) return [{ point, kind: 'outOfRange' }]
      if (found.errorCode !== CODE.none) return [{ point, kind: 'elsewhere' }]
      return [{ point, kind: 'records', ...readBatches(point, found.records ?? []), end: found.highWatermark }]
    }),
  )
}

function byTopicId(points: readonly FetchPoint[]): [string, FetchPoint[]][] {
  const topics = new Map<string, FetchPoint[]>()
  for (const point of points) {
    const some = topics.get(point.topicId)
    if (some) some.push(point)
    else topics.set(point.topicId, [point])
  }
  return [...topics]
}
