/** Consuming without groups, on a real broker. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { EventEmitter } from 'node:events'
import { Registry } from 'prom-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startConsumer } from '../../dataflow/consumer/consumer.ts'
import { startSharedReading } from '../../dataflow/consumer/shared-reading.ts'
import type { Consumer, ConsumerOptions } from '../../dataflow/consumer/types.ts'
import type {
  IncomingRecord,
  KafkaAdmin,
  KafkaClient,
  KafkaProducer,
  RecordHeaders,
} from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { silentLogger } from '../../kit/log.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const TOPIC = { partitions: 2, replicationFactor: 1, maxMessageBytes: 4_000_000 }

let broker: TestKafka
let kafka: KafkaClient
let admin: KafkaAdmin
let producer: KafkaProducer
beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
  admin = kafka.admin()
  producer = kafka.producer()
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await Promise.all([admin.close(), producer.close()])
  await broker.stop()
})

const options = (group: string, changes: Partial<ConsumerOptions> = {}): ConsumerOptions => ({
  from: { kind: 'committed', group },
  maxInFlight: 16,
  maxInFlightBytes: 1_000_000,
  maxHeldBytes: 10_000_000,
  commitEveryMs: 20,
  ...changes,
})

async function newTopic(): Promise<string> {
  const topic = randomUUID()
  await admin.createTopics([topic], TOPIC)
  return topic
}

async function produce(
  topic: string,
  texts: readonly string[],
  partition = 0,
  headersOf: (text: string) => RecordHeaders = () => [],
): Promise<void> {
  const records = texts.map((text) => ({
    topic,
    partition,
    key: text,
    value: Buffer.from(text),
    headers: headersOf(text),
  }))
  for (const result of await producer.send(records, { compression: 'none', timeoutMs: 20_000 }))
    expect(result).toEqual({ kind: 'acknowledged' })
}

interface Reading {
  readonly consumer: Consumer
  readonly seen: { readonly text: string; readonly record: IncomingRecord; readonly done: () => void }[]
  /** Resolves when that many records were handed over. */
  readonly until: (count: number) => Promise<void>
}

/** `isDone`: whether a record is done at once. */
function read(given: ConsumerOptions, isDone: (text: string) => boolean = () => true): Reading {
  const arrivals = new EventEmitter()
  const seen: Reading['seen'][number][] = []
  const consumer = startConsumer(given, {
    kafka,
    onRecord: (record, done) => {
      const text = record.value.toString()
      seen.push({ text, record, done })
      if (isDone(text)) done()
      arrivals.emit('record')
    },
    registry: new Registry(),
    log: silentLogger,
    nowMs: () => performance.now(),
  })
  return {
    consumer,
    seen,
    until: async (count) => {
      while (seen.length < count) await once(arrivals, 'record')
    },
  }
}

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => String(from + index))
const textsOf = ({ seen }: Reading): string[] => seen.map(({ text }) => text)

describe('a consumer', () => {
  it('begins at the earliest, goes on behind the last record that is done without a gap, and keeps keys as they are', async () => {
    const topic = await newTopic()
    const group = randomUUID()
    const key = Buffer.from([0xff, 0xfe])
    await producer.send(
      [key, null].map((some) => ({ topic, partition: 1, key: some, value: Buffer.from('k'), headers: [] })),
      { compression: 'none', timeoutMs: 20_000 },
    )
    await produce(topic, numbers(10))
    const first = read(options(group), (text) => text !== '4' && text !== '7')
    await first.consumer.assign(topic)
    await first.until(12)
    expect(first.seen.filter(({ text }) => text === 'k').map(({ record }) => record.rawKey)).toEqual([key, null])
    await first.consumer.stop(0) // 4 and 7 are in flight
    const second = read(options(group))
    await second.consumer.assign(topic)
    await second.until(6)
    expect(textsOf(second)).toEqual(numbers(6, 4))
    await second.consumer.stop(5_000)
    await produce(topic, ['last'])
    const third = read(options(group))
    await third.consumer.assign(topic)
    await third.until(1)
    expect(textsOf(third)).toEqual(['last'])
    await third.consumer.stop(5_000)
  })

  it('holds so many records of a partition, however many there are, while others flow; and catches up', async () => {
    const [slow, quick] = await Promise.all([newTopic(), newTopic()])
    await produce(slow, numbers(500))
    const reading = read(options(randomUUID(), { maxHeldBytes: 20_000 }), (text) => text.startsWith('quick'))
    await Promise.all([reading.consumer.assign(slow), reading.consumer.assign(quick)])
    await reading.until(16)
    await produce(
      quick,
      numbers(100).map((text) => `quick${text}`),
    )
    await reading.until(116)
    const slowOnes = reading.seen.filter(({ text }) => !text.startsWith('quick'))
    expect(slowOnes).toHaveLength(16)
    expect(reading.consumer.lag().get(slow)).toBe(500)
    for (let at = 0; at < 500; at++) {
      await reading.until(101 + at)
      reading.seen
        .filter(({ text }) => text === String(at))
        .forEach(({ done }) => {
          done()
        })
    }
    await reading.consumer.release(slow, 5_000)
    expect(textsOf(reading).filter((text) => !text.startsWith('quick'))).toEqual(numbers(500))
    await reading.consumer.stop(5_000)
  })

  it('waits for a topic that is not there, and reads one that was deleted and made again', async () => {
    const topic = randomUUID()
    const other = await newTopic()
    const reading = read(options(randomUUID()))
    const placed = reading.consumer.assign(topic)
    await reading.consumer.assign(other)
    await produce(other, ['other'])
    await reading.until(1)
    await admin.createTopics([topic], TOPIC)
    await placed
    await produce(topic, numbers(3))
    await reading.until(4)
    await admin.deleteTopics([topic])
    await admin.createTopics([topic], TOPIC)
    await produce(topic, ['again'])
    await reading.until(5)
    await produce(other, ['other'])
    await reading.until(6)
    expect(textsOf(reading)).toEqual(['other', '0', '1', '2', 'again', 'other'])
    await reading.consumer.stop(5_000)
  })

  it('begins at the earliest where what was committed is beyond the end, and counts it', async () => {
    const topic = await newTopic()
    const group = randomUUID()
    await produce(topic, numbers(3))
    const reader = kafka.reader()
    await reader.commit(group, [{ topic, partition: 0, offset: 50n }])
    await reader.close()
    const reading = read(options(group))
    await reading.consumer.assign(topic)
    await reading.until(3)
    await reading.consumer.stop(5_000)
    const after = read(options(group))
    await after.consumer.assign(topic)
    await produce(topic, ['next'])
    await after.until(1)
    expect(textsOf(after)).toEqual(['next'])
    await after.consumer.stop(5_000)
  })

  it('reads on after a kill -9 of the broker, nothing missing, and of what comes next when it was told to', async () => {
    const topic = await newTopic()
    await produce(topic, ['before'])
    const reading = read(options(randomUUID()))
    const latest = read(options('', { from: { kind: 'latest' } }))
    await Promise.all([reading.consumer.assign(topic), latest.consumer.assign(topic)])
    await reading.until(1)
    await broker.kill()
    await broker.start()
    await produce(topic, numbers(20))
    await Promise.all([reading.until(21), latest.until(20)])
    expect(textsOf(reading)).toEqual(['before', ...numbers(20)])
    expect(textsOf(latest)).toEqual(numbers(20))
    await Promise.all([reading.consumer.stop(5_000), latest.consumer.stop(5_000)])
  })
})

describe('200 pipelines that share a model', () => {
  const PIPELINES = numbers(200)
  const ownerOf = (text: string): string => String(Number(text) % PIPELINES.length)
  const groups = randomUUID()

  /** Reads for all of them in one process. */
  function readShared(topic: string) {
    const registry = new Registry()
    const arrivals = new EventEmitter()
    const seen: { readonly pipeline: string; readonly text: string }[] = []
    const shared = startSharedReading(
      { maxInFlight: 16, maxInFlightBytes: 1_000_000, maxHeldBytes: 10_000_000, commitEveryMs: 100 },
      { kafka, registry, log: silentLogger, nowMs: () => performance.now() },
    )
    const subscribe = (pipeline: string): Promise<void> =>
      shared.subscribe({
        topic,
        group: `${groups}.${pipeline}`,
        takes: new Set([pipeline]),
        onRecord: (record, done) => {
          seen.push({ pipeline, text: record.value.toString() })
          done()
          arrivals.emit('record')
        },
      })
    const metricOf = async (way: string): Promise<number> => {
      const metric = await registry.getSingleMetric('millrace_consumer_shared_records_total')?.get()
      return metric?.values.find(({ labels }) => labels['way'] === way)?.value ?? 0
    }
    return {
      shared,
      seen,
      subscribeAll: () => Promise.all(PIPELINES.map(subscribe)),
      until: async (count: number) => {
        while (seen.length < count) await once(arrivals, 'record')
      },
      metricOf,
    }
  }

  it('read each record of it once per process, each its own; who comes back goes on where it was', async () => {
    const topic = await newTopic()
    const first = readShared(topic)
    await first.subscribeAll()
    const produceFor = (texts: readonly string[]): Promise<void> =>
      produce(topic, texts, 1, (text) => [['pipeline', ownerOf(text)]])
    await produceFor(numbers(2_000))
    await first.until(2_000)
    expect(first.seen.every(({ pipeline, text }) => pipeline === ownerOf(text))).toBe(true)
    expect(new Set(first.seen.map(({ text }) => text)).size).toBe(2_000)
    expect(await first.metricOf('shared')).toBe(2_000)
    expect(await first.metricOf('alone')).toBe(0)
    await first.shared.stop(5_000)

    await produceFor(numbers(200, 2_000)) // while nobody reads
    const second = readShared(topic)
    await second.subscribeAll()
    await second.until(200)
    await produceFor(numbers(400, 2_200))
    await second.until(600)
    expect(new Set(second.seen.map(({ text }) => text))).toEqual(new Set(numbers(600, 2_000)))
    expect(second.seen).toHaveLength(600)
    await second.shared.stop(5_000)
  })
})
