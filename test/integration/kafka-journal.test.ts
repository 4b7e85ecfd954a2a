/** The journal on a real broker, which is killed, paused and started again under it. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { fromGrpcRequest, fromGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import type { Journal, JournalRecord } from '../../dataflow/journal/journal.ts'
import { journalHeaders } from '../../dataflow/journal/journal-headers.ts'
import { createKafkaJournal, type KafkaJournalOptions } from '../../dataflow/journal/kafka-journal.ts'
import { compositeKey, ERRORS, type TopicEnd } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaClient } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { silentLogger } from '../../kit/log.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const { requestDeserialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer
const MIB = 1024 * 1024
const STANDARD: Omit<KafkaJournalOptions, 'space' | 'spillFile'> = {
  partitions: 2,
  replicationFactor: 0,
  maxRecordBytes: 20 * MIB,
  maxWaitingBytes: 64 * MIB,
  lingerMs: 5,
  batchBytes: MIB,
  batchRecords: 1_000,
  deliveryTimeoutMs: 3_000,
  compression: 'lz4',
  maxSpillBytes: 8 * MIB,
}
const INPUTS: TopicEnd = { kind: 'pipeline', name: 'p', side: 'inputs' }
const OUTPUTS: TopicEnd = { kind: 'pipeline', name: 'p', side: 'outputs' }

const eventually = (look: () => void | Promise<void>, timeout = 10_000) => vi.waitFor(look, { timeout, interval: 20 })

let broker: TestKafka
let kafka: KafkaClient
let folder: string
beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
  folder = mkdtempSync(join(tmpdir(), 'millrace-journal-'))
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await broker.stop()
  rmSync(folder, { recursive: true })
})

const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal.close()
})

/** A journal of a namespace of its own, whose topics exist. */
async function openJournal(options: Partial<KafkaJournalOptions> = {}) {
  const registry = new Registry()
  const space = { prefix: 'seldon', namespace: randomUUID() }
  const spillFile = join(folder, space.namespace)
  const journal = createKafkaJournal(
    { ...STANDARD, space, spillFile, ...options },
    { kafka, registry, log: silentLogger, now: Date.now },
  )
  opened.push(journal)
  await journal.ensureTopics([INPUTS, OUTPUTS])
  const metric = async (name: string): Promise<number> => {
    const metrics = await registry.getMetricsAsJSON()
    return Number(metrics.find((one) => one.name === `millrace_journal_${name}`)?.values[0]?.value)
  }
  const topicOf = (end: 'inputs' | 'outputs') => `seldon.${space.namespace}.pipeline.p.${end}`
  return { journal, metric, topicOf, space, spillFile }
}

const tensor = (bytes: Uint8Array): Tensor => ({
  name: 'x',
  datatype: 'UINT8',
  shape: [bytes.byteLength],
  bytes,
  parameters: {},
})

function input(requestId: string, more: Partial<JournalRecord> = {}, bytes: Uint8Array = Buffer.from([1, 2])) {
  const partition = requestId.length % 2
  return {
    topic: INPUTS,
    key: compositeKey(partition, 'p', requestId),
    partition,
    headers: journalHeaders({ pipeline: 'p', version: 3, requestId, callerHeaders: [['X-Foo', 'bar']] }),
    message: { kind: 'request', request: { id: requestId, parameters: {}, inputs: [tensor(bytes)], outputs: [] } },
    onFailure: 'fail-closed',
    ...more,
  } satisfies JournalRecord
}

/** Everything in a topic. */
async function readAll(topic: string): Promise<readonly IncomingRecord[]> {
  const reader = kafka.reader()
  try {
    const ends = await reader.positions([topic], 'latest')
    let positions = await reader.positions([topic], 'earliest')
    const records: IncomingRecord[] = []
    while (positions.some(({ offset }, index) => offset < (ends[index]?.offset ?? 0n))) {
      const fetched = await reader.fetch(positions, { maxWaitMs: 500, maxBytes: 32 * MIB })
      records.push(...fetched.records)
      positions = fetched.next
    }
    return records
  } finally {
    await reader.close()
  }
}

describe('a record', () => {
  it('is there with its key, partition, headers and raw contents when record resolves', async () => {
    const { journal, topicOf } = await openJournal()
    await journal.record(input('abc'))
    const [record, ...more] = await readAll(topicOf('inputs'))
    expect(more).toEqual([])
    expect(record).toMatchObject({ key: '1.p.abc', partition: 1 })
    expect(record?.headers).toEqual([
      ['pipeline', 'p'],
      ['x-pipeline-version', '3'],
      ['x-request-id', 'abc'],
      ['x-foo', 'bar'],
    ])
    const message = requestDeserialize(record?.value ?? Buffer.alloc(0))
    expect(message.rawInputContents).toHaveLength(1)
    expect(fromGrpcRequest(message).inputs[0]?.bytes).toEqual(Buffer.from([1, 2]))
  })

  it('of a response, of ten megabytes, comes back byte by byte', async () => {
    const { journal, topicOf } = await openJournal()
    const bytes = Buffer.from(Uint8Array.from({ length: 10 * MIB }, (_, index) => (index * 7) % 251))
    const response = { modelName: 'm', modelVersion: '1', id: 'r', parameters: {}, outputs: [tensor(bytes)] }
    await journal.record(input('big', { topic: OUTPUTS, message: { kind: 'response', response } }))
    const [record] = await readAll(topicOf('outputs'))
    const read = fromGrpcResponse(responseDeserialize(record?.value ?? Buffer.alloc(0)))
    expect(bytes.equals(read.outputs[0]?.bytes ?? Buffer.alloc(0))).toBe(true)
  })

  it('of an error is its text, and its topic is made when it is missing', async () => {
    const { journal, space } = await openJournal()
    await journal.record(input('e', { topic: ERRORS, message: { kind: 'error', text: 'step a: no' } }))
    const [record] = await readAll(`seldon.${space.namespace}.errors.errors`)
    expect(record?.value.toString()).toBe('step a: no')
  })

  it('over our limit is refused with 413 and the setting, one over the topic’s likewise, and its neighbours pass', async () => {
    const { journal, topicOf, space } = await openJournal({ maxRecordBytes: 100_000 })
    await expect(journal.record(input('big', {}, Buffer.alloc(200_000)))).rejects.toMatchObject({
      code: 'REQUEST_TOO_LARGE',
      message: expect.stringContaining('maxRecordBytes 100000') as string,
    })
    const wide = createKafkaJournal(
      { ...STANDARD, compression: 'none', space, spillFile: join(folder, randomUUID()) },
      { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
    )
    opened.push(wide)
    const results = await Promise.allSettled([
      wide.record(input('a')),
      wide.record(input('b', {}, Buffer.alloc(200_000))),
      wide.record(input('c')),
    ])
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(results[1]).toMatchObject({
      reason: {
        code: 'REQUEST_TOO_LARGE',
        message: expect.stringContaining('max.message.bytes of the topic') as string,
      },
    })
    expect((await readAll(topicOf('inputs'))).map(({ key }) => key)).toEqual(['1.p.a', '1.p.c'])
  })
})

it('the status says that one copy is not replicated', async () => {
  const { journal } = await openJournal()
  expect(journal.status()).toMatchObject({ available: true, brokers: 1, replicationFactor: 1, replicated: false })
  expect(journal.status()).toHaveProperty('remark', expect.stringContaining('not replicated'))
})

it('topics that are deleted are gone, and deleting them again is no error', async () => {
  const { journal, topicOf } = await openJournal()
  await journal.deleteTopics([OUTPUTS])
  await journal.deleteTopics([OUTPUTS])
  const admin = kafka.admin()
  await eventually(async () => {
    expect([...(await admin.partitions([topicOf('inputs'), topicOf('outputs')])).keys()]).toEqual([topicOf('inputs')])
  })
  await admin.close()
})

it('more topics than brokers can copy are refused by name', async () => {
  await expect(openJournal({ replicationFactor: 3 })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('replicationFactor 3') as string,
  })
})

it('what is recorded when too much waits is refused, not kept', async () => {
  const { journal, metric } = await openJournal({ maxWaitingBytes: 100_000, deliveryTimeoutMs: 1_000 })
  broker.pause()
  try {
    const big = () => journal.record(input('x', {}, Buffer.alloc(60_000)))
    const results = await Promise.allSettled([big(), big(), big()])
    const codes = results.map((result) =>
      result.status === 'rejected' ? (result.reason as { code: string }).code : '',
    )
    expect(codes.toSorted()).toContain('JOURNAL_OVERLOADED')
    expect(codes).not.toContain('')
    expect(await metric('waiting_bytes')).toBe(0)
  } finally {
    broker.resume()
  }
})

describe('kill -9 of the broker under load', () => {
  it('loses nothing that was acknowledged; what fails is told; background records arrive', async () => {
    const { journal, metric, topicOf } = await openJournal()
    const acknowledged = new Set<string>()
    const refused = new Set<string>()
    const background: Promise<void>[] = []
    let load = true
    const worker = async (number: number): Promise<void> => {
      for (let index = 0; load; index++) {
        const requestId = `${String(number)}-${String(index)}`
        const record = input(requestId)
        try {
          await journal.record(record)
          acknowledged.add(record.key)
          background.push(journal.record({ ...record, topic: OUTPUTS, awaited: false }))
        } catch {
          refused.add(record.key)
          await new Promise((done) => setTimeout(done, 20)) // as a client would
        }
      }
    }
    const workers = Array.from({ length: 8 }, (_, number) => worker(number))
    const more = async (count: number): Promise<void> => {
      const goal = acknowledged.size + count
      await eventually(() => {
        expect(acknowledged.size).toBeGreaterThan(goal)
      }, 30_000)
    }
    await more(1_000)
    await broker.kill()
    await eventually(() => {
      expect(refused.size).toBeGreaterThan(0)
    }, 10_000)
    await broker.start()
    await more(1_000)
    load = false
    await Promise.all(workers)
    await Promise.all(background)
    const inputs = new Set((await readAll(topicOf('inputs'))).map(({ key }) => key))
    const outputs = new Set((await readAll(topicOf('outputs'))).map(({ key }) => key))
    expect([...acknowledged].filter((key) => !inputs.has(key))).toEqual([])
    expect([...acknowledged].filter((key) => !outputs.has(key))).toEqual([])
    expect([...inputs].filter((key) => !acknowledged.has(key) && !refused.has(key))).toEqual([])
    expect(await metric('lost_total')).toBe(0)
  })
})

describe('fail-open', () => {
  it('spills while Kafka is away and replays in order, marked, when it is back', async () => {
    const { journal, metric, topicOf } = await openJournal({ deliveryTimeoutMs: 1_000 })
    const keys = Array.from({ length: 50 }, (_, index) => `r${String(index).padStart(2, '0')}`)
    broker.pause()
    try {
      for (const key of keys) await journal.record(input(key, { onFailure: 'fail-open' }))
      expect(await metric('spilled_total')).toBe(50)
      await expect(journal.record(input('closed'))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
      expect(journal.status()).toMatchObject({ available: false })
    } finally {
      broker.resume()
    }
    await eventually(async () => {
      expect(await metric('replayed_total')).toBe(50)
    }, 20_000)
    const marked = (await readAll(topicOf('inputs'))).filter(({ headers }) =>
      headers.some(([name]) => name === 'x-millrace-replayed'),
    )
    expect(marked.map(({ key }) => key.split('.')[2])).toEqual(keys)
    expect(await metric('spill_bytes')).toBe(0)
    expect(await metric('lost_total')).toBe(0)
  })

  it('what a process that ended had spilled is replayed by the next one', async () => {
    const { journal, topicOf, space, spillFile } = await openJournal({ deliveryTimeoutMs: 500 })
    broker.pause()
    try {
      await journal.record(input('kept', { onFailure: 'fail-open' }))
      await journal.close()
    } finally {
      broker.resume()
    }
    const next = createKafkaJournal(
      { ...STANDARD, space, spillFile },
      { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
    )
    opened.push(next)
    await eventually(async () => {
      const keys = (await readAll(topicOf('inputs'))).map(({ key }) => key)
      expect(keys).toContain('0.p.kept')
    }, 20_000)
  })
})
