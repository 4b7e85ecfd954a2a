/**
 * A pipeline over topics on real Envoy, Redis and Kafka, with a model gateway and an engine: a program feeds it, puts records on
 * the topics of its steps, answers in a model's place; the engine is killed while it works; a model is away and comes back.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ModelResource, PipelineResource } from '../../api/resources/resource.ts'
import { parseManifests } from '../../api/resources/manifest.ts'
import { waitFor } from '../../cli/wait.ts'
import { headerOf } from '../../dataflow/journal/decode.ts'
import type { IncomingRecord, KafkaClient, KafkaProducer, OutgoingRecord } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { packageRoot } from '../../kit/root.ts'
import { readAll } from '../support/kafka-records.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { until, untilAvailable, untilDeleted } from '../support/models.ts'
import { floats } from '../support/pipeline-cases.ts'
import { givenKey, outputsOf } from '../support/pipeline-topics.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'
import { JAVASCRIPT_FLAGS, kafkaFlags } from '../support/stream-scene.ts'

const RESULT_MS = 20_000
const RECOVERY_MS = 60_000
const INPUTS = 'seldon.default.pipeline.line.inputs'
const OUTPUTS = 'seldon.default.pipeline.line.outputs'
const ADDED = 'seldon.default.model.add10.outputs'
const MULTIPLIED = 'seldon.default.model.mul10.outputs'

/** (x + 10) * 10. */
const LINE: PipelineResource = {
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name: 'line' },
  spec: {
    steps: [{ name: 'add10' }, { name: 'mul10', inputs: ['add10'], tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' } }],
    output: { steps: ['mul10'] },
    dataflow: { execution: 'topics' },
  },
}

let mesh: TestMesh
let broker: TestKafka
let kafka: KafkaClient
let producer: KafkaProducer
printLogsOfFailedTests(() => mesh)

const model = (name: string): ModelResource => {
  const folder = join(packageRoot, 'samples/models')
  const text = readFileSync(join(folder, `${name}.yaml`), 'utf8')
  return parseManifests(text, { name, folder })[0]?.resource as ModelResource
}

beforeAll(async () => {
  broker = await startKafka()
  kafka = connectKafka(parseConnection('test', { 'bootstrap.servers': broker.bootstrapServers }), 'test')
  producer = kafka.producer()
  mesh = await startMesh({
    replicas: 1,
    ...kafkaFlags(broker.bootstrapServers),
    pipelineGateways: 1,
    engines: 1,
    modelGateways: 1,
    ...JAVASCRIPT_FLAGS,
    restarts: (name) => name.startsWith('engine'),
  })
  for (const name of ['add10', 'mul10']) await mesh.admin.apply(model(name))
  for (const name of ['add10', 'mul10']) await untilAvailable(mesh.admin, name)
  await mesh.admin.apply(LINE)
  await waitFor(mesh.admin, { kind: 'Pipeline', name: 'line' }, 'available', RESULT_MS)
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await producer.close()
  await mesh.stop()
  await broker.stop()
})

async function produce(records: readonly (Pick<OutgoingRecord, 'topic' | 'key'> & Partial<OutgoingRecord>)[]) {
  const whole = records.map((record) => ({ partition: 0, headers: [], value: Buffer.alloc(0), ...record }))
  for (const result of await producer.send(whole, { compression: 'none', timeoutMs: 10_000 }))
    expect(result).toEqual({ kind: 'acknowledged' })
}

const feed = (keys: readonly string[], ...values: number[]) =>
  produce(
    keys.map((key) => ({
      topic: INPUTS,
      key,
      value: Buffer.from(JSON.stringify({ inputs: [floats('INPUT', ...values)] })),
    })),
  )

/** Those on a topic of requests that were fed, or put there, with such a key. */
async function recordsOf(topic: string, wanted: (key: string) => boolean): Promise<readonly IncomingRecord[]> {
  return (await readAll(kafka, topic)).filter((record) => wanted(givenKey(record)))
}

async function recordOf(topic: string, key: string): Promise<IncomingRecord> {
  const found: IncomingRecord[] = []
  const isThere = async (): Promise<boolean> => {
    found.push(...(await recordsOf(topic, (other) => other === key)))
    return found.length > 0
  }
  await until(`a record of ${key} on ${topic}`, isThere, RESULT_MS)
  return found[0] as IncomingRecord
}

test('a caller is answered with what came over the topics, and the record of its result is there', async () => {
  const response = await fetch(`http://${mesh.ingress}/v2/pipelines/line/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'called' },
    body: JSON.stringify({ inputs: [floats('INPUT', 1, 2)] }),
  })
  expect(await response.json()).toMatchObject({ outputs: [{ name: 'OUTPUT', data: [110, 120] }] })
  expect(outputsOf(await recordOf(OUTPUTS, '0.line.called'))).toEqual([['OUTPUT', [110, 120]]])
})

test('an engine is killed while it works: every input has its result, none is wrong, and what is there twice is marked', async () => {
  const keys = Array.from({ length: 600 }, (_, index) => `kill-${String(index)}`)
  const isOfTest = (key: string): boolean => key.startsWith('kill-')
  await feed(keys, 1, 2)
  await until('some results', async () => (await recordsOf(OUTPUTS, isOfTest)).length > 20, RESULT_MS)
  await mesh.kill('engine-0')
  const distinct = async () => new Set((await recordsOf(OUTPUTS, isOfTest)).map(givenKey)).size
  await until('all results', async () => (await distinct()) === keys.length, RECOVERY_MS)
  const results = await recordsOf(OUTPUTS, isOfTest)
  const seen = new Set<string>()
  for (const record of results) {
    expect(outputsOf(record)).toEqual([['OUTPUT', [110, 120]]])
    if (seen.has(record.key)) expect(headerOf(record.headers, 'x-millrace-replayed')).toBeDefined()
    seen.add(record.key)
  }
  const asked = await recordsOf('seldon.default.model.add10.inputs', isOfTest)
  console.info(
    `${String(keys.length)} inputs, ${String(results.length - keys.length)} results twice, ${String(asked.length - keys.length)} steps asked twice`,
  )
}, 120_000)

test("what a program puts on a step's topic, or puts there again under another key, runs from there on", async () => {
  await feed(['first'], 5)
  const first = await recordOf(ADDED, 'first')
  const { topic, value } = first
  await produce([
    { topic, key: 'injected', value, headers: [['pipeline', 'line']] },
    { topic, key: 'replayed', value, headers: first.headers.filter(([name]) => name !== 'x-millrace-key') },
  ])
  for (const key of ['first', 'injected', 'replayed'])
    expect(outputsOf(await recordOf(OUTPUTS, key))).toEqual([['OUTPUT', [150]]])
  expect(await recordsOf('seldon.default.model.add10.inputs', (key) => key === 'injected')).toEqual([])
})

test('while a model is away its records wait: somebody else may answer them, and the model does when it is back', async () => {
  await mesh.admin.delete('Model', 'mul10')
  await untilDeleted(mesh.admin, 'mul10')
  await feed(['replaced', 'patient'], 7)
  const asked = await recordOf('seldon.default.model.mul10.inputs', 'replaced')
  const [answer] = await recordsOf(MULTIPLIED, (key) => key === 'first')
  await produce([
    { topic: MULTIPLIED, key: asked.rawKey, value: answer?.value ?? Buffer.alloc(0), headers: asked.headers },
  ])
  expect(outputsOf(await recordOf(OUTPUTS, 'replaced'))).toEqual([['OUTPUT', [150]]])
  expect(await recordsOf(OUTPUTS, (key) => key === 'patient')).toEqual([])
  await mesh.admin.apply(model('mul10'))
  expect(outputsOf(await recordOf(OUTPUTS, 'patient'))).toEqual([['OUTPUT', [170]]])
  // The model answered the other one too: that is a double of a request that has ended.
  await recordOf(MULTIPLIED, 'patient')
  await until(
    'the late answer',
    async () => (await recordsOf(MULTIPLIED, (key) => key === 'replaced')).length === 2,
    RESULT_MS,
  )
  await feed(['last'], 8)
  await recordOf(OUTPUTS, 'last')
  expect(await recordsOf(OUTPUTS, (key) => key === 'replaced')).toHaveLength(1)
}, 120_000)
