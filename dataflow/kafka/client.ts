/**
 * All that Millrace wants of Kafka, so that the library behind it can be another one. There are no consumer groups: whoever
 * reads says from which partitions and where, so nobody's reading is disturbed when somebody else begins.
 */

/** May hold a name several times. */
export type RecordHeaders = readonly (readonly [name: string, value: string])[]

/** Keys that others chose may be any bytes, or none. */
export type RecordKey = string | Uint8Array | null

export interface OutgoingRecord {
  readonly topic: string
  readonly partition: number
  readonly key: RecordKey
  readonly value: Uint8Array
  readonly headers: RecordHeaders
  /** Default: when it is sent. */
  readonly timestampMs?: number
}

/** What became of one record. Of one that is `unavailable` nobody knows whether the broker has it. */
export type SendResult =
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'tooLarge' }
  | { readonly kind: 'unknownTopic' }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'unavailable'; readonly reason: string }

export interface SendOptions {
  readonly compression: Compression
  /** The results are `unavailable` when it has passed. */
  readonly timeoutMs: number
}

export const COMPRESSIONS = ['none', 'gzip', 'snappy', 'lz4'] as const
export type Compression = (typeof COMPRESSIONS)[number]

/** Idempotent: what is sent again within one `send` is there once. All replicas acknowledge. */
export interface KafkaProducer {
  /** One result for each record, in their order; never rejects. One at a time: the next after the last one's results. */
  send(records: readonly OutgoingRecord[], options: SendOptions): Promise<readonly SendResult[]>
  close(): Promise<void>
}

/** The next record to read of a partition. */
export interface Position {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

export interface IncomingRecord extends Position {
  readonly key: string
  /** As it is, for who passes it on: keys of others may be no text, or none at all. */
  readonly rawKey: Buffer | null
  readonly value: Buffer
  readonly headers: RecordHeaders
  readonly timestampMs: number
}

export interface Fetched {
  readonly records: readonly IncomingRecord[]
  /** Where to go on: all positions that were asked for, in their order. */
  readonly next: readonly Position[]
}

export interface FetchOptions {
  /** How long the brokers wait for a first record. */
  readonly maxWaitMs: number
  readonly maxBytes: number
}

export interface KafkaReader {
  /**
   * Where all partitions of the topics begin, where their next record will be, or where the first record of that time or later
   * is (in milliseconds; without one, where the next will be). @throws ServingError
   */
  positions(topics: readonly string[], at: 'earliest' | 'latest' | number): Promise<readonly Position[]>
  /** Whatever there is at these positions. @throws ServingError NOT_FOUND for a topic or offset that is not there */
  fetch(positions: readonly Position[], options: FetchOptions): Promise<Fetched>
  /** Remembers positions in Kafka under a name. @throws ServingError */
  commit(group: string, positions: readonly Position[]): Promise<void>
  /** What was committed under that name; partitions without a commit are left out. @throws ServingError */
  committed(group: string, topics: readonly string[]): Promise<readonly Position[]>
  close(): Promise<void>
}

/** Of a topic. */
export interface TopicFacts {
  /** Another one when the topic was deleted and made again. */
  readonly id: string
  /** Who leads each partition; -1: nobody at this moment. */
  readonly leaders: readonly number[]
}

export interface FetchPoint extends Position {
  readonly topicId: string
}

/** News of one partition that was asked for; `point` is the caller's own. */
export type Polled<P extends FetchPoint> = { readonly point: P } & (
  | {
      readonly kind: 'records'
      readonly records: readonly IncomingRecord[]
      readonly next: bigint
      /** Where the next record that is produced will be. */
      readonly end: bigint
    }
  /** Records at this offset are gone, or it never was one. */
  | { readonly kind: 'outOfRange' }
  /** It has another leader, or its topic was deleted. */
  | { readonly kind: 'elsewhere' }
  /** What is there has no form that we know. */
  | { readonly kind: 'unreadable'; readonly reason: string }
)

export interface PollOptions extends FetchOptions {
  readonly maxPartitionBytes: number
}

export const POLL_LANES = ['waiting', 'urgent'] as const
export type PollLane = (typeof POLL_LANES)[number]

/** Reads on and on from many partitions; each lane of a broker is a connection of its own, for one `poll` at a time. */
export interface KafkaPoller {
  /** Those of the topics that exist. @throws ServingError KAFKA_UNAVAILABLE */
  topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicFacts>>
  /** Of partitions that this broker leads; those that it does not lead any more are left out. @throws ServingError */
  offsets(
    node: number,
    of: readonly Pick<Position, 'topic' | 'partition'>[],
    at: 'earliest' | 'latest',
  ): Promise<readonly Position[]>
  /**
   * Waits for news of partitions that this broker leads. The lane `waiting` tells the broker only what has changed since its last
   * poll, so a thousand quiet partitions cost nothing: an unchanged point must be the same object. @throws ServingError
   * KAFKA_UNAVAILABLE
   */
  poll<P extends FetchPoint>(
    node: number,
    lane: PollLane,
    points: readonly P[],
    options: PollOptions,
  ): Promise<readonly Polled<P>[]>
  close(): Promise<void>
}

export interface TopicSettings {
  readonly partitions: number
  readonly replicationFactor: number
  readonly maxMessageBytes: number
}

export interface KafkaAdmin {
  /** @throws ServingError KAFKA_UNAVAILABLE */
  brokers(): Promise<number>
  /** Those of the topics that exist, with how many partitions they have. @throws ServingError KAFKA_UNAVAILABLE */
  partitions(topics: readonly string[]): Promise<ReadonlyMap<string, number>>
  /** Existing topics stay as they are. @throws ServingError CONFIG_INVALID, KAFKA_UNAVAILABLE */
  createTopics(topics: readonly string[], settings: TopicSettings): Promise<void>
  /** Topics that are not there are no error. @throws ServingError KAFKA_UNAVAILABLE */
  deleteTopics(topics: readonly string[]): Promise<void>
  close(): Promise<void>
}

export interface KafkaClient {
  producer(): KafkaProducer
  reader(): KafkaReader
  poller(): KafkaPoller
  admin(): KafkaAdmin
}
