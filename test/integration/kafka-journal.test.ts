/** The journal on a real broker, which is killed, paused and started again under it. */
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { fromGrpcRequest, fromGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { KafkaJournalOptions } from '../../dataflow/journal/kafka-journal.ts'
import { ERRORS } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaClient } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import {
  bytesTensor,
  createJournalScene,
  inputRecord,
  INPUTS,
  MIB,
  type OpenedJournal,
  OUTPUTS,
  startJournalLoad,
} from '../support/journal-scene.ts'
import { readAll as readTopic } from '../support/kafka-records.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const { requestDeserialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer

const eventually = (look: () => void | Promise<void>, timeout = 30_000) => vi.waitFor(look, { timeout, interval: 20 })

let broker: TestKafka
let kafka: KafkaClient
const scene = createJournalScene(() => kafka)
beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await broker.stop()
  scene.remove()
})

afterEach(() => scene.closeAll())

/** Whose topics exist. */
async function openJournal(options: Partial<KafkaJournalOptions> = {}): Promise<OpenedJournal> {
  const opened = scene.open(options)
  await opened.journal.ensureTopics([INPUTS, OUTPUTS])
  return opened
}

const readAll = (topic: string): Promise<readonly IncomingRecord[]> => readTopic(kafka, topic)

describe('a record', () => {
  it('is there with its key, partition, headers and raw contents when record resolves', async () => {
    const { journal, topicOf } = await openJournal()
    await journal.record(inputRecord('abc'))
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
    const response = { modelName: 'm', modelVersion: '1', id: 'r', parameters: {}, outputs: [bytesTensor(bytes)] }
    await journal.record(inputRecord('big', { topic: OUTPUTS, message: { kind: 'response', response } }))
    const [record] = await readAll(topicOf('outputs'))
    const read = fromGrpcResponse(responseDeserialize(record?.value ?? Buffer.alloc(0)))
    expect(bytes.equals(read.outputs[0]?.bytes ?? Buffer.alloc(0))).toBe(true)
  })

  it('of an error is its text, and its topic is made when it is missing', async () => {
    const { journal, space } = await openJournal()
    await journal.record(inputRecord('e', { topic: ERRORS, message: { kind: 'error', text: 'step a: no' } }))
    const [record] = await readAll(`seldon.${space.namespace}.errors.errors`)
    expect(record?.value.toString()).toBe('step a: no')
  })

  it('over our limit is refused with 413 and the setting, one over the topic’s likewise, and its neighbours pass', async () => {
    const { journal, topicOf, space } = await openJournal({ maxRecordBytes: 100_000 })
    await expect(journal.record(inputRecord('big', {}, Buffer.alloc(200_000)))).rejects.toMatchObject({
      code: 'REQUEST_TOO_LARGE',
      message: expect.stringContaining('maxRecordBytes 100000') as string,
    })
    const { journal: wide } = scene.open({ compression: 'none', space })
    const results = await Promise.allSettled([
      wide.record(inputRecord('a')),
      wide.record(inputRecord('b', {}, Buffer.alloc(200_000))),
      wide.record(inputRecord('c')),
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

it('what was recorded in the background can be waited for, so that nothing makes a deleted topic anew', async () => {
  const { journal, metric, topicOf } = await openJournal({ lingerMs: 200 })
  const settled: string[] = []
  for (const id of ['a', 'b']) {
    const record = journal.record(inputRecord(id, { topic: OUTPUTS, awaited: false }))
    void record.then(() => settled.push(id))
  }
  await journal.untilRecorded([INPUTS])
  expect(settled).toEqual([])
  await journal.untilRecorded([OUTPUTS])
  expect(await metric('records_total')).toBe(2)
  await journal.deleteTopics([OUTPUTS])
  const admin = kafka.admin()
  await eventually(async () => {
    expect((await admin.partitions([topicOf('outputs')])).size).toBe(0)
  })
  await admin.close()
})

it('records that wait for a Kafka that is away are told to whoever waits for them, and so is the absence', async () => {
  const { journal } = await openJournal({ deliveryTimeoutMs: 500 })
  broker.pause()
  try {
    void journal.record(inputRecord('late', { topic: OUTPUTS, awaited: false })).catch(() => undefined)
    await expect(journal.untilRecorded([OUTPUTS])).rejects.toMatchObject({
      code: 'KAFKA_UNAVAILABLE',
      message: expect.stringContaining('1 records waited') as string,
    })
    await expect(journal.record(inputRecord('now'))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
    await expect(journal.ensureTopics([INPUTS])).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
  } finally {
    broker.resume()
  }
  await eventually(() => journal.untilRecorded([OUTPUTS]))
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
    const big = () => journal.record(inputRecord('x', {}, Buffer.alloc(60_000)))
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
    const load = startJournalLoad(journal)
    const { acknowledged, refused } = load
    const more = async (count: number): Promise<void> => {
      const goal = acknowledged.size + count
      await eventually(() => {
        expect(acknowledged.size).toBeGreaterThan(goal)
      })
    }
    await more(1_000)
    await broker.kill()
    await eventually(() => {
      expect(refused.size).toBeGreaterThan(0)
    })
    await broker.start()
    await more(1_000)
    await load.end()
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
      for (const key of keys) await journal.record(inputRecord(key, { onFailure: 'fail-open' }))
      expect(await metric('spilled_total')).toBe(50)
      await expect(journal.record(inputRecord('closed'))).rejects.toMatchObject({ code: 'KAFKA_UNAVAILABLE' })
      expect(journal.status()).toMatchObject({ available: false })
    } finally {
      broker.resume()
    }
    await eventually(async () => {
      expect(await metric('replayed_total')).toBe(50)
    })
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
      await journal.record(inputRecord('kept', { onFailure: 'fail-open' }))
      await journal.close()
    } finally {
      broker.resume()
    }
    scene.open({ space, spillFile })
    await eventually(async () => {
      const keys = (await readAll(topicOf('inputs'))).map(({ key }) => key)
      expect(keys).toContain('0.p.kept')
    })
  })
})
