/** The Kafka journal over a producer that answers as the test says. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { afterEach, expect, test } from 'vitest'
import type { Journal, RecordWaiter } from '../../../dataflow/journal/journal.ts'
import { createKafkaJournal } from '../../../dataflow/journal/kafka-journal.ts'
import type { KafkaAdmin, KafkaClient, KafkaProducer, SendResult } from '../../../dataflow/kafka/client.ts'
import { silentLogger } from '../../../kit/log.ts'
import { INPUTS, inputRecord, OUTPUTS } from '../../support/journal-scene.ts'
import { createWaiters } from '../../support/waiters.ts'

const folder = mkdtempSync(join(tmpdir(), 'millrace-journal-'))
const opened: Journal[] = []
afterEach(async () => {
  for (const journal of opened.splice(0)) await journal.close()
  rmSync(folder, { recursive: true, force: true })
})

function scene(answer: (key: string) => SendResult['kind'] = () => 'acknowledged') {
  const waiters = createWaiters()
  const batches: string[][] = []
  const told: string[] = []
  const producer: KafkaProducer = {
    send: (records) => {
      const keys = records.map(({ key }) => String(key))
      batches.push(keys)
      return Promise.resolve(keys.map((key) => ({ kind: answer(key), reason: 'away' })))
    },
    close: () => Promise.resolve(),
  }
  const admin: KafkaAdmin = {
    brokers: () => Promise.resolve(1),
    partitions: () => Promise.resolve(new Map()),
    createTopics: () => Promise.resolve(),
    deleteTopics: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const nobody = (): never => {
    throw new Error('nobody reads')
  }
  const kafka: KafkaClient = { producer: () => producer, admin: () => admin, reader: nobody, poller: nobody }
  const journal = createKafkaJournal(
    {
      space: { prefix: 'seldon', namespace: 'default' },
      partitions: 1,
      replicationFactor: 1,
      maxRecordBytes: 10_000,
      maxWaitingBytes: 100_000,
      lingerMs: 1,
      batchBytes: 50_000,
      batchRecords: 100,
      deliveryTimeoutMs: 1_000,
      compression: 'none',
      spillFile: join(folder, 'spill'),
      maxSpillBytes: 10_000,
    },
    { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
  )
  opened.push(journal)
  const waiter = (name: string): RecordWaiter => ({
    onRecorded: (error) => {
      told.push(`${name} ${error?.code ?? 'recorded'}`)
      waiters.look()
    },
  })
  const untilTold = (count: number) => waiters.until('all are told', () => told.length === count)
  return { journal, batches, told, waiter, untilTold }
}

test('each that waits is told once, in their order, and never before write returns', async () => {
  const { journal, told, waiter, untilTold } = scene((key) => (key.endsWith('.b') ? 'refused' : 'acknowledged'))
  journal.write(inputRecord('large', {}, Buffer.alloc(20_000)), waiter('large'))
  for (const id of ['a', 'b', 'c']) journal.write(inputRecord(id), waiter(id))
  expect(told).toEqual([])
  await untilTold(4)
  expect(told).toEqual(['large REQUEST_TOO_LARGE', 'a recorded', 'b KAFKA_UNAVAILABLE', 'c recorded'])
})

test('a record that nobody waits for is sent, and its refusal disturbs nobody', async () => {
  const { journal, batches } = scene(() => 'refused')
  journal.write(inputRecord('a', { topic: OUTPUTS, awaited: false }))
  journal.write(inputRecord('large', { awaited: false }, Buffer.alloc(20_000)))
  await journal.untilRecorded([OUTPUTS])
  expect(batches).toEqual([['1.p.a']])
})

test('what is recorded while the others are told goes with the next batch', async () => {
  const { journal, batches, told, waiter, untilTold } = scene()
  const again: RecordWaiter = {
    onRecorded: () => {
      journal.write(inputRecord('second'), waiter('second'))
    },
  }
  journal.write(inputRecord('first'), again)
  journal.write(inputRecord('other'), waiter('other'))
  await untilTold(2)
  expect(told).toEqual(['other recorded', 'second recorded'])
  expect(batches).toEqual([['1.p.first', '1.p.other'], ['0.p.second']])
})

test('whoever deletes topics waits for their records beside those who recorded them', async () => {
  const { journal, told, waiter } = scene()
  journal.write(inputRecord('a'), waiter('a'))
  await journal.untilRecorded([INPUTS])
  expect(told).toEqual(['a recorded'])
})

test('while Kafka is away a record is refused when its pipeline wants that, and spilled when not', async () => {
  const { journal, told, waiter, untilTold } = scene(() => 'unavailable')
  journal.write(inputRecord('first'), waiter('first'))
  await untilTold(1)
  journal.write(inputRecord('closed'), waiter('closed'))
  journal.write(inputRecord('open', { onFailure: 'fail-open' }), waiter('open'))
  expect(told).toHaveLength(1)
  await untilTold(3)
  expect(told).toEqual(['first KAFKA_UNAVAILABLE', 'closed KAFKA_UNAVAILABLE', 'open recorded'])
  expect(journal.status()).toMatchObject({ available: false })
})
