/**
 * All that Millrace wants of Kafka, so that the library behind it can be another one. There are no consumer groups: whoever
 * reads says from which partitions and where, so nobody's reading is disturbed when somebody else begins.
 */

/** May hold a name several times. */
export type RecordHeaders = readonly (readonly [name: string, value: string])[]

export interface OutgoingRecord {
  readonly topic: string
  readonly partition: number
  readonly key: string
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
  /** Where all partitions of the topics begin, or where their next record will be. @throws ServingError */
  positions(topics: readonly string[], at: 'earliest' | 'latest'): Promise<readonly Position[]>
  /** Whatever there is at these positions. @throws ServingError NOT_FOUND for a topic or offset that is not there */
  fetch(positions: readonly Position[], options: FetchOptions): Promise<Fetched>
  /** Remembers positions in Kafka under a name. @throws ServingError */
  commit(group: string, positions: readonly Position[]): Promise<void>
  /** What was committed under that name; partitions without a commit are left out. @throws ServingError */
  committed(group: string, topics: readonly string[]): Promise<readonly Position[]>
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
  admin(): KafkaAdmin
}
