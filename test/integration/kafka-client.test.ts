/** Reading, positions and topics of the Kafka client, and `millrace inspect`, on a real broker. */
import { randomUUID } from 'node:crypto'
import { Registry } from 'prom-client'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeElements } from '../../api/oip/elements.ts'
import { errorHeaders, journalHeaders } from '../../dataflow/journal/journal-headers.ts'
import type { Journal, JournalMessage } from '../../dataflow/journal/journal.ts'
import { openJournal } from '../../dataflow/journal/options.ts'
import { compositeKey, type TopicEnd } from '../../dataflow/journal/topics.ts'
import type { KafkaClient, OutgoingRecord, Position } from '../../dataflow/kafka/client.ts'
import { ownFailure } from '../../dataflow/model-client/model-failure.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { silentLogger } from '../../kit/log.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { runCli, startCli } from '../support/run-cli.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const SEND = { compression: 'none', timeoutMs: 20_000 } as const
const TOPIC = { partitions: 1, replicationFactor: 1, maxMessageBytes: 1_000_000 }

let broker: TestKafka
let kafka: KafkaClient
beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await broker.stop()
})

const recordOf = (topic: string, key: string): OutgoingRecord => ({
  topic,
  partition: 0,
  key,
  value: Buffer.from(key),
  headers: [
    ['x-a', '1'],
    ['x-a', '2'],
  ],
})

describe('the client', () => {
  it('reads from where it is told, remembers positions under a name, and keeps repeated headers', async () => {
    const topic = randomUUID()
    const [admin, producer, reader] = [kafka.admin(), kafka.producer(), kafka.reader()]
    await admin.createTopics([topic], TOPIC)
    await producer.send(
      ['a', 'b', 'c'].map((key) => recordOf(topic, key)),
      { ...SEND, compression: 'gzip' },
    )
    const [begin] = await reader.positions([topic], 'earliest')
    const middle: Position = { topic, partition: 0, offset: (begin?.offset ?? 0n) + 1n }
    const { records, next } = await reader.fetch([middle], { maxWaitMs: 100, maxBytes: 1_000_000 })
    expect(records.map(({ key }) => key)).toEqual(['b', 'c'])
    expect(records[0]?.headers).toEqual([
      ['x-a', '1'],
      ['x-a', '2'],
    ])
    expect(await reader.committed('g', [topic])).toEqual([])
    await reader.commit('g', next)
    expect(await reader.committed('g', [topic])).toEqual([{ topic, partition: 0, offset: 3n }])
    const beyond = reader.fetch([{ topic, partition: 0, offset: 99n }], { maxWaitMs: 100, maxBytes: 1_000 })
    await expect(beyond).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await Promise.all([admin.close(), producer.close(), reader.close()])
  })

  it('reads many topics and takes one more without a pause: no reading is disturbed', async () => {
    const name = randomUUID()
    const topics = Array.from({ length: 200 }, (_, index) => `${name}-${String(index)}`)
    const [admin, producer, reader] = [kafka.admin(), kafka.producer(), kafka.reader()]
    await admin.createTopics(topics, TOPIC)
    let positions = await reader.positions(topics, 'latest')
    const added: Position[] = []
    const seen = new Map<string, (atMs: number) => void>()
    let reading = true
    const loop = (async () => {
      while (reading) {
        positions = [...positions, ...added.splice(0)]
        const { records, next } = await reader.fetch(positions, { maxWaitMs: 50, maxBytes: 10_000_000 })
        positions = next
        for (const { key } of records) seen.get(key)?.(performance.now())
      }
    })()
    const roundTrip = async (topic: string): Promise<void> => {
      const key = randomUUID()
      const arrived = new Promise<number>((resolve) => seen.set(key, resolve))
      const [result] = await producer.send([recordOf(topic, key)], SEND)
      expect(result).toEqual({ kind: 'acknowledged' })
      await arrived
    }
    for (const topic of topics.slice(0, 20)) await roundTrip(topic)
    const one = `${name}-more`
    await admin.createTopics([one], TOPIC)
    const [fresh] = await reader.positions([one], 'latest')
    if (fresh) added.push(fresh)
    await roundTrip(one)
    for (const topic of topics.slice(-20)) await roundTrip(topic)
    reading = false
    await loop
    expect(positions).toHaveLength(201)
    await Promise.all([admin.close(), producer.close(), reader.close()])
  })
})

describe('millrace inspect', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-inspect-'))
  const namespace = randomUUID()
  let journal: Journal
  const end = (kind: 'pipeline' | 'model', name: string, side: 'inputs' | 'outputs'): TopicEnd => ({ kind, name, side })
  const inspect = (...argv: string[]) =>
    runCli(['inspect', ...argv, '--namespace', namespace], {
      env: { KAFKA_BOOTSTRAP_SERVERS: broker.bootstrapServers },
    })
  const record = (topic: TopicEnd, pipeline: string, requestId: string, message: JournalMessage, failed?: string) => {
    const headers = journalHeaders({ pipeline, version: 1, requestId, callerHeaders: [] })
    return journal.record({
      topic,
      key: compositeKey(0, pipeline, requestId),
      partition: 0,
      headers:
        failed === undefined
          ? headers
          : errorHeaders(headers, { source: failed, ...ownFailure('INFERENCE_FAILED', '') }),
      message,
      onFailure: 'fail-closed',
    })
  }
  const request = (value: bigint): JournalMessage => {
    const x = {
      name: 'x',
      datatype: 'INT64',
      shape: [1],
      bytes: encodeElements('x', 'INT64', [value]),
      parameters: {},
    } as const
    return { kind: 'request', request: { id: '', parameters: {}, inputs: [x, { ...x, name: 'y' }], outputs: [] } }
  }
  beforeAll(async () => {
    const options = {
      kafkaBootstrapServers: broker.bootstrapServers,
      kafkaConfig: '',
      topicPrefix: '',
      namespace,
      topicPartitions: 1,
      topicReplicationFactor: 0,
      journalMaxRecordBytes: 1_000_000,
      journalMaxWaitingBytes: 1_000_000,
      journalLingerMs: 0,
      journalBatchBytes: 100_000,
      journalTimeoutMs: 20_000,
      journalCompression: 'lz4',
      journalSpillFile: join(folder, 'spill'),
      journalMaxSpillBytes: 0,
    } as const
    journal = openJournal(options, { clientId: 'test', registry: new Registry(), log: silentLogger })
    for (const requestId of ['one', 'two']) {
      await record(end('pipeline', 'p', 'inputs'), 'p', requestId, request(requestId === 'one' ? 1n : 2n))
      await record(end('model', 'a', 'inputs'), 'p', requestId, request(3n))
    }
    for (let index = 0; index < 30; index++)
      await record(end('model', 'a', 'inputs'), 'other', `o${String(index)}`, request(9n))
    await record(end('pipeline', 'p', 'outputs'), 'p', 'two', { kind: 'error', text: 'no memory' }, 'a')
  })
  afterAll(async () => {
    await journal.close()
    rmSync(folder, { recursive: true })
  })

  it('shows the last record of each end, an error as its text', async () => {
    const { code, out } = await inspect('p')
    expect(code).toBe(0)
    expect(out).toMatch(/p\.inputs .* two .* x INT64\[1\] 2/)
    expect(out).toMatch(/p\.outputs .* two .* error of a: no memory/)
    expect(out).not.toContain(' one ')
  })

  it('of a step shows what this pipeline put there, among records of others, one tensor as JSON', async () => {
    const { out } = await inspect('p.a.inputs.x', '--offset', '5', '-o', 'json')
    const shown = JSON.parse(out) as { requestId: string; content: { tensors: { name: string; data: number[] }[] } }[]
    expect(shown.map(({ requestId }) => requestId)).toEqual(['one', 'two'])
    expect(shown[0]?.content.tensors).toEqual([{ name: 'x', datatype: 'INT64', shape: [1], data: [3] }])
  })

  it('finds one request, and says when there is none', async () => {
    const [found, none] = await Promise.all([
      inspect('p.inputs', '--request-id', 'one', '-o', 'name'),
      inspect('p.inputs', '--request-id', 'three'),
    ])
    expect(found.out).toBe('0.p.one\n')
    expect(none.code).toBe(5)
    expect(none.err).toContain('there is no record of request three of pipeline p in p.inputs')
  })

  it('follows what comes, of one request alone when that is asked for, until it is stopped', async () => {
    const argv = ['inspect', 'p.inputs', '--follow', '--namespace', namespace, '-o', 'name']
    const env = { KAFKA_BOOTSTRAP_SERVERS: broker.bootstrapServers }
    const [all, one] = [startCli(argv, { env }), startCli([...argv, '--request-id', 'four'], { env })]
    await all.printed('\n') // what was there before; from then on it follows
    for (const requestId of ['three', 'four', 'five'])
      await record(end('pipeline', 'p', 'inputs'), 'p', requestId, request(4n))
    await all.printed('0.p.five')
    all.child.kill('SIGINT')
    expect(await all.done).toMatchObject({ code: 0, err: '', out: '0.p.two\n0.p.three\n0.p.four\n0.p.five\n' })
    await one.printed('0.p.four')
    one.child.kill('SIGTERM')
    expect(await one.done).toMatchObject({ code: 0, out: '0.p.four\n' })
  })

  it('replay feeds the inputs of a time again, each once, under new ids that name the first', async () => {
    const replay = (...argv: string[]) =>
      runCli(['replay', 'p', '--from', '1h', ...argv, '--namespace', namespace, '-o', 'json'], {
        env: { KAFKA_BOOTSTRAP_SERVERS: broker.bootstrapServers },
      })
    interface Told {
      readonly records: number
      readonly requests: readonly { readonly requestId: string; readonly newRequestId?: string }[]
    }
    const dry = JSON.parse((await replay('--dry-run')).out) as Told
    expect(dry.requests.map(({ requestId }) => requestId)).toContain('one')
    const told = JSON.parse((await replay()).out) as Told
    expect(told.records).toBe(dry.records)
    const [twice, nobody, { out }] = await Promise.all([
      replay('--dry-run'),
      replay('--request-id', 'nobody'),
      inspect('p.inputs', '--offset', '100', '-o', 'json'),
    ])
    const shown = JSON.parse(out) as { requestId: string; key: string; headers: [string, string][]; content: object }[]
    const first = shown.find(({ requestId }) => requestId === 'one')
    const again = shown.filter(({ headers }) =>
      headers.some(([name, value]) => name === 'x-millrace-replay-of' && value === first?.key),
    )
    expect(again).toHaveLength(1)
    expect(again[0]).toMatchObject({
      requestId: told.requests.find(({ requestId }) => requestId === 'one')?.newRequestId,
      content: first?.content,
    })
    expect((JSON.parse(twice.out) as Told).records).toBe(dry.records) // not what was fed again
    expect(nobody.code).toBe(5)
  })

  it('says which topic is missing, and that Kafka is away', async () => {
    const [missing, away] = await Promise.all([
      inspect('q.inputs'),
      runCli(['inspect', 'p', '--timeout', '2s', '--kafka-bootstrap-servers', '127.0.0.1:1']),
    ])
    expect(missing.code).toBe(5)
    expect(missing.err).toContain(`seldon.${namespace}.pipeline.q.inputs`)
    expect([4, 6]).toContain(away.code)
    expect(away.err).toMatch(/KAFKA_UNAVAILABLE|DEADLINE_EXCEEDED/)
  })
})
