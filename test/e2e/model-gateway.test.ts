/** Asynchronous use of a model, on real Envoy, Redis and Kafka: every record has its answer, over kills of the model gateway. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { KafkaAdmin, KafkaClient, KafkaProducer, OutgoingRecord } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { packageRoot } from '../../kit/root.ts'
import { keysOf, readAll } from '../support/kafka-records.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { applyAvailable, until } from '../support/models.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const INPUTS = 'seldon.default.model.iris.inputs'
const OUTPUTS = 'seldon.default.model.iris.outputs'
const REQUEST = readFileSync(join(packageRoot, 'samples/requests/iris.json'))
const GROUP = 'seldon.default.model-gateway'
const KILLS = 2
/** Between two kills. */
const BATCH = 1_000

let mesh: TestMesh
let broker: TestKafka
let kafka: KafkaClient
let admin: KafkaAdmin
let producer: KafkaProducer
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
  admin = kafka.admin()
  producer = kafka.producer()
  mesh = await startMesh({
    replicas: 1,
    modelGateways: 2,
    modelGatewayFlags: ['--kafka-bootstrap-servers', broker.bootstrapServers],
    restarts: (name) => name.startsWith('model-gateway'),
  })
  await applyAvailable(mesh.admin, 'iris', { replicas: 1 })
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await Promise.all([admin.close(), producer.close()])
  await mesh.stop()
  await broker.stop()
})

const produce = async (keys: readonly string[]): Promise<void> => {
  const records = keys.map((key): OutgoingRecord => ({ topic: INPUTS, partition: 0, key, value: REQUEST, headers: [] }))
  for (const result of await producer.send(records, { compression: 'none', timeoutMs: 10_000 }))
    expect(result).toEqual({ kind: 'acknowledged' })
}

/** The one that reads the topic of the model; empty while nobody does. */
async function reader(): Promise<string> {
  for (const [index, { http }] of mesh.ports.modelGateways.entries()) {
    const answer = await fetch(`http://127.0.0.1:${String(http)}/readyz`).catch(() => undefined) // it was killed
    const says = (await answer?.json()) as { reading: number } | undefined
    if (says !== undefined && says.reading > 0) return `model-gateway-${String(index)}`
  }
  return ''
}

const readAnswers = async (): Promise<number> => (await keysOf(kafka, OUTPUTS)).size

/** Everything before is done and committed: what comes twice can only be of what follows. */
async function untilCommitted(count: number): Promise<void> {
  const offsets = kafka.reader()
  await until(
    'the commit',
    async () => (await offsets.committed(GROUP, [INPUTS])).some(({ offset }) => offset === BigInt(count)),
    60_000,
  )
  await offsets.close()
}

test('every record is answered, over kill -9 of the gateway that reads them, and only what was under way comes twice', async () => {
  await until('the topics', async () => (await admin.partitions([INPUTS])).size === 1, 60_000)
  const keys: string[] = []
  for (let kill = 0; kill < KILLS; kill++) {
    let victim = ''
    await until('a gateway to read', async () => (victim = await reader()) !== '', 60_000)
    const some = Array.from({ length: BATCH }, (_, index) => `${String(kill)}-${String(index)}`)
    keys.push(...some)
    await produce(some)
    await until('a first answer', async () => (await readAnswers()) > kill * BATCH, 60_000)
    await mesh.kill(victim)
    await untilCommitted(keys.length)
  }
  const outputs = await readAll(kafka, OUTPUTS)
  expect(new Set(outputs.map(({ key }) => key))).toEqual(new Set(keys))
  expect(outputs.length).toBeLessThanOrEqual(2 * keys.length)
  const answer = JSON.parse(outputs[0]?.value.toString() ?? '') as { model_name: string; outputs: unknown[] }
  expect(answer.model_name).toMatch(/^iris/)
  expect(answer.outputs.length).toBeGreaterThan(0)
  console.info(
    `${String(keys.length)} records, ${String(outputs.length - keys.length)} answers twice over ${String(KILLS)} kills`,
  )
}, 120_000)
