/** Which brokers there are, what they lead, and connections to them. */
import { type Connection, ConnectionPool, metadataV12, parseBroker } from '@platformatic/kafka'
import { ServingError } from '../../kit/errors.ts'
import type { TopicFacts } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, despiteErrors, isRecordWith, toKafkaError } from './failures.ts'
import { libraryOptions } from './library-options.ts'

const DEFAULT_PORT = 9_092

interface Broker {
  readonly host: string
  readonly port: number
}

export class Brokers {
  readonly #bootstrap: readonly Broker[]
  readonly #createPool: () => ConnectionPool
  readonly #pools: ConnectionPool[] = []
  readonly #asking: ConnectionPool
  #known = new Map<number, Broker>()

  constructor(connection: KafkaConnection, clientId: string) {
    const options = libraryOptions(connection, clientId)
    this.#createPool = () => new ConnectionPool(clientId, options)
    this.#bootstrap = connection.bootstrapServers.map((server) => parseBroker(server, DEFAULT_PORT))
    this.#asking = this.pool()
  }

  /** Connections of one's own, at most one to each broker; closed with the others. */
  pool(): ConnectionPool {
    const created = this.#createPool()
    created.on('connecting', ({ connection }) => {
      connection.on('error', () => undefined) // told to whoever asked over it
    })
    this.#pools.push(created)
    return created
  }

  /** Those of the topics that exist. @throws ServingError KAFKA_UNAVAILABLE */
  async topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicFacts>> {
    try {
      const asked = metadataV12.api.async(await this.anyToAsk(), [...names], false, false)
      const answer = await despiteErrors(asked, isMetadata)
      this.#known = new Map(answer.brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]))
      const found = new Map<string, TopicFacts>()
      for (const { errorCode, name, topicId, partitions } of answer.topics) {
        if (typeof name !== 'string' || errorCode === CODE.unknownTopic) continue
        const leaders: number[] = []
        for (const { partitionIndex, leaderId } of partitions) leaders[partitionIndex] = leaderId
        if (leaders.length > 0) found.set(name, { id: topicId, leaders })
      }
      return found
    } catch (error) {
      throw toKafkaError('the topics cannot be asked for', error)
    }
  }

  /** One of those that were there when topics were asked for. @throws ServingError KAFKA_UNAVAILABLE */
  of(node: number): Broker {
    const broker = this.#known.get(node)
    if (broker === undefined) throw new ServingError('KAFKA_UNAVAILABLE', `broker ${String(node)} is not there`)
    return broker
  }

  toAsk(node: number): Promise<Connection> {
    return this.#asking.get(this.of(node))
  }

  anyToAsk(): Promise<Connection> {
    return this.#asking.getFirstAvailable([...this.#bootstrap, ...this.#known.values()])
  }

  async close(): Promise<void> {
    await Promise.all(this.#pools.map((pool) => pool.close().catch(() => undefined))) // closing changes nothing any more
  }
}

const isMetadata = (value: unknown): value is metadataV12.MetadataResponse => isRecordWith(value, 'brokers')
