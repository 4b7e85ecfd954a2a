/**
 * Many topics read by one process: how long until all are read, what reading them costs while nothing comes, how soon a record
 * is handed over, and what one more topic does to the others.
 */
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { startConsumer } from '../../dataflow/consumer/consumer.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { ServingError } from '../../kit/errors.ts'
import { silentLogger } from '../../kit/log.ts'
import { BUSY, startKafka } from '../../test/support/kafka.ts'
import type { Bench } from '../main.ts'
import { percentile } from '../support/statistics.ts'

const TOPICS = 1_000
const IDLE_MS = 5_000
const RECORDS = 200
const EVERY_MS = 10
const SETTINGS = { partitions: 1, replicationFactor: 1, maxMessageBytes: 1_000_000 }

export const consume: Bench = { summary: '1,000 topics read by one process, and one more', run }

async function run(): Promise<Readonly<Record<string, number>>> {
  const broker = await startKafka({}, BUSY)
  const kafka = connectKafka(parseConnection('bench', { 'bootstrap.servers': broker.bootstrapServers }), 'bench')
  const [admin, producer] = [kafka.admin(), kafka.producer()]
  const arrived = new Map<string, (ms: number) => void>()
  const consumer = startConsumer(
    {
      from: { kind: 'committed', group: 'bench' },
      maxInFlight: 64,
      maxInFlightBytes: 1_000_000,
      maxHeldBytes: 100_000_000,
      commitEveryMs: 300,
    },
    {
      kafka,
      onRecord: ({ key }, done) => {
        arrived.get(key)?.(performance.now())
        arrived.delete(key)
        done()
      },
      registry: new Registry(),
      log: silentLogger,
      nowMs: () => performance.now(),
    },
  )
  /** Milliseconds from the acknowledgement of a record to its being handed over. */
  const deliver = async (topic: string): Promise<number> => {
    const key = randomUUID()
    const seen = new Promise<number>((resolve) => arrived.set(key, resolve))
    const record = { topic, partition: 0, key, value: Buffer.alloc(100), headers: [] }
    const [result] = await producer.send([record], { compression: 'none', timeoutMs: 10_000 })
    if (result?.kind !== 'acknowledged') throw new ServingError('KAFKA_UNAVAILABLE', JSON.stringify(result))
    const acknowledgedMs = performance.now()
    return Math.max(0, (await seen) - acknowledgedMs)
  }
  /** One record after the other, each on another topic, until `isOver`. */
  const deliverMany = async (topics: readonly string[], isOver: (sent: number) => boolean): Promise<number[]> => {
    const took: number[] = []
    for (let sent = 0; !isOver(sent); sent++) {
      took.push(await deliver(topics[(sent * 37) % topics.length] ?? ''))
      await new Promise((done) => setTimeout(done, EVERY_MS))
    }
    return took
  }
  try {
    const topics = Array.from({ length: TOPICS }, (_, index) => `bench.${String(index)}`)
    await admin.createTopics([...topics, 'bench.more'], SETTINGS)
    const assignedMs = performance.now()
    await Promise.all(topics.map((topic) => consumer.assign(topic)))
    const placedMs = performance.now() - assignedMs
    await deliver('bench.0')
    const cpu = process.cpuUsage()
    await new Promise((done) => setTimeout(done, IDLE_MS))
    const { user, system } = process.cpuUsage(cpu)
    const before = await deliverMany(topics, (sent) => sent === RECORDS)
    const addingMs = performance.now()
    let firstMs = Number.NaN
    const added = (async () => {
      await consumer.assign('bench.more')
      await deliver('bench.more')
      firstMs = performance.now() - addingMs
    })()
    const during = await deliverMany(topics, (sent) => sent >= 20 && !Number.isNaN(firstMs))
    await added
    return {
      topics: TOPICS,
      assigned_ms: placedMs,
      idle_cores: (user + system) / 1_000 / IDLE_MS,
      deliver_p50_ms: percentile(before, 0.5),
      deliver_p99_ms: percentile(before, 0.99),
      one_more_ms: firstMs,
      deliver_p50_while_adding_ms: percentile(during, 0.5),
      deliver_max_while_adding_ms: Math.max(...during),
    }
  } finally {
    await consumer.stop(0)
    await Promise.all([admin.close(), producer.close()])
    await broker.stop()
  }
}
