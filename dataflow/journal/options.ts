/** The options of a process that journals, and the journal that they make. */
import type { Registry } from 'prom-client'
import { type Static, Type } from 'typebox'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { COMPRESSIONS, type KafkaClient } from '../kafka/client.ts'
import { connectKafka } from '../kafka/connect.ts'
import { isKafkaGiven, loadKafkaConnection } from '../kafka/connection.ts'
import { kafkaOptions } from '../kafka/options.ts'
import { type Journal, nullJournal } from './journal.ts'
import { createKafkaJournal } from './kafka-journal.ts'
import { checkedSpace, type TopicSpace } from './topics.ts'

const MIB = 1024 * 1024
const bytes = (standard: number, minimum: number, description: string) =>
  Type.Integer({ default: standard, minimum, maximum: 2_000_000_000, description })

/** For whoever records. */
export const journalOptions = {
  ...kafkaOptions,
  topicPartitions: Type.Integer({ default: 1, minimum: 1, maximum: 1_000, description: 'Partitions of every topic.' }),
  topicReplicationFactor: Type.Integer({
    default: 0,
    minimum: 0,
    maximum: 100,
    description: 'Copies of every topic; 0: as many as there are brokers, at most 3.',
  }),
  journalMaxRecordBytes: bytes(
    64 * MIB,
    1024,
    'Largest record, and max.message.bytes of topics that are created. Larger ones are refused with 413.',
  ),
  journalMaxWaitingBytes: bytes(256 * MIB, 1024, 'Bound of the records that wait for Kafka in memory.'),
  journalLingerMs: Type.Integer({
    default: 20,
    minimum: 0,
    maximum: 1_000,
    description:
      'How long a record that no answer waits for may wait for company: longer ones take fewer requests to Kafka, and are read later.',
  }),
  journalBatchBytes: bytes(MIB, 1024, 'Records that are sent together, about; a larger one goes alone.'),
  journalTimeoutMs: Type.Integer({
    default: 15_000,
    minimum: 100,
    maximum: 60_000,
    description:
      'Until a record that is not acknowledged counts as refused, while brokers answer; longer than brokers need to choose new leaders.',
  }),
  journalCompression: Type.Enum([...COMPRESSIONS], { default: 'lz4', description: 'Of batches of 4 KiB and more.' }),
  journalSpillFile: Type.String({
    default: '.millrace/journal-spill',
    minLength: 1,
    description: 'Where records of pipelines with fail-open wait while Kafka is away. One for each process.',
  }),
  journalMaxSpillBytes: bytes(256 * MIB, 0, 'Bound of that file; what does not fit is lost, and counted.'),
}

const toSchema = () => Type.Object(journalOptions)
export type JournalConfig = Readonly<Static<ReturnType<typeof toSchema>>>

export interface OpenJournalDeps {
  /** How brokers name this process in their logs. */
  readonly clientId: string
  readonly registry: Registry
  readonly log: Logger
}

export interface GivenTopics {
  readonly kafka: KafkaClient
  readonly space: TopicSpace
}

/** Undefined: no Kafka in the options. `clientId` is how brokers name us in their logs. @throws ServingError CONFIG_INVALID */
function openTopics(config: JournalConfig, clientId: string): GivenTopics | undefined {
  const given = { bootstrapServers: config.kafkaBootstrapServers, configFile: config.kafkaConfig }
  if (!isKafkaGiven(given)) return undefined
  const kafka = connectKafka(loadKafkaConnection(given), clientId)
  return { kafka, space: checkedSpace({ prefix: config.topicPrefix, namespace: config.namespace }) }
}

/** For those who cannot do without; `who` they are is for the error. @throws ServingError CONFIG_INVALID */
export function needTopics(config: JournalConfig, clientId: string, who: string): GivenTopics {
  const topics = openTopics(config, clientId)
  if (topics !== undefined) return topics
  throw new ServingError('CONFIG_INVALID', `${who} reads from Kafka: give --kafka-bootstrap-servers or --kafka-config`)
}

/** Without Kafka in the options the journal keeps nothing. @throws ServingError CONFIG_INVALID */
export function openJournal(config: JournalConfig, { clientId, registry, log }: OpenJournalDeps): Journal {
  const topics = openTopics(config, clientId)
  if (topics === undefined) return nullJournal
  return createKafkaJournal(
    {
      space: topics.space,
      partitions: config.topicPartitions,
      replicationFactor: config.topicReplicationFactor,
      maxRecordBytes: config.journalMaxRecordBytes,
      maxWaitingBytes: config.journalMaxWaitingBytes,
      lingerMs: config.journalLingerMs,
      batchBytes: config.journalBatchBytes,
      batchRecords: 1_000,
      deliveryTimeoutMs: config.journalTimeoutMs,
      compression: config.journalCompression,
      spillFile: config.journalSpillFile,
      maxSpillBytes: config.journalMaxSpillBytes,
    },
    { kafka: topics.kafka, registry, log, now: Date.now },
  )
}
