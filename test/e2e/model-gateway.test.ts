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
const IN_FLIGHT = 64
const BATCHES = 30
const BATCH = 50
/** Of the batches. */
const KILL_AT = [5, 15]

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
    modelGatewayFlags: [
      ['--kafka-bootstrap-servers', broker.bootstrapServers],
      ['--max-records-per-partition', String(IN_FLIGHT)],
    ].flat(),
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

test('every record is answered once the model is there, over kill -9 of the gateway that reads it, with few duplicates', async () => {
  await until('the topics', async () => (await admin.partitions([INPUTS])).size === 1, 30_000)
  const keys: string[] = []
  for (let batch = 0; batch < BATCHES; batch++) {
    const some = Array.from({ length: BATCH }, (_, index) => `${String(batch)}-${String(index)}`)
    await produce(some)
    keys.push(...some)
    if (!KILL_AT.includes(batch)) continue
    await until('a gateway to read', async () => (await reader()) !== '', 30_000)
    await mesh.kill(await reader())
  }
  await until('all answers', async () => (await keysOf(kafka, OUTPUTS)).size === keys.length, 60_000)
  const outputs = await readAll(kafka, OUTPUTS)
  expect(new Set(outputs.map(({ key }) => key))).toEqual(new Set(keys))
  expect(outputs.length).toBeLessThanOrEqual(keys.length + KILL_AT.length * 2 * IN_FLIGHT)
  const answer = JSON.parse(outputs[0]?.value.toString() ?? '') as { model_name: string; outputs: unknown[] }
  expect(answer.model_name).toMatch(/^iris/)
  expect(answer.outputs.length).toBeGreaterThan(0)
  console.info(
    `${String(keys.length)} records, ${String(outputs.length - keys.length)} answers twice over ${String(KILL_AT.length)} kills`,
  )
}, 120_000)
