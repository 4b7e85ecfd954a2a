/** What the commands share that read Kafka: where it is, and how its topics are called. */
import { checkedSpace, type TopicSpace } from '../../dataflow/journal/topics.ts'
import type { KafkaClient } from '../../dataflow/kafka/client.ts'
import { loadKafkaConnection } from '../../dataflow/kafka/connection.ts'
import { within } from '../../kit/deadline.ts'
import { ServingError } from '../../kit/errors.ts'
import { KAFKA_PORT, type Session } from '../session.ts'

export interface KafkaCliOptions {
  readonly kafkaBootstrapServers?: string
  readonly kafkaConfig?: string
  readonly topicPrefix: string
  readonly namespace: string
}

export interface OpenedKafka {
  readonly client: KafkaClient
  readonly servers: readonly string[]
  readonly space: TopicSpace
}

/** Nothing is connected before it is used. @throws ServingError CONFIG_INVALID */
export async function openKafka(
  { portOffset }: Pick<Session, 'portOffset'>,
  options: KafkaCliOptions,
  clientId: string,
): Promise<OpenedKafka> {
  const space = checkedSpace({ prefix: options.topicPrefix, namespace: options.namespace })
  const { kafkaBootstrapServers: given = '', kafkaConfig: configFile = '' } = options
  const local = `127.0.0.1:${String(KAFKA_PORT + portOffset)}`
  const connection = loadKafkaConnection({ bootstrapServers: given || (configFile === '' ? local : ''), configFile })
  const { connectKafka } = await import('../../dataflow/kafka/connect.ts') // few commands need the library
  return { client: connectKafka(connection, clientId), servers: connection.bootstrapServers, space }
}

/** @throws ServingError DEADLINE_EXCEEDED when it takes longer */
export const withinTime = <T>(timeoutMs: number, servers: readonly string[], work: Promise<T>): Promise<T> =>
  within(timeoutMs, work, () => {
    const text = `Kafka at ${servers.join(', ')} did not give everything within ${String(timeoutMs)} ms`
    return new ServingError('DEADLINE_EXCEEDED', `${text}; raise --timeout`)
  })
