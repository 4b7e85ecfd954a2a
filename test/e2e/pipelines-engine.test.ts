/**
 * Pipelines fed through a real Kafka, by an engine: the acceptance cases with the expected tensors, what is no request, an engine
 * that is killed while it works, and a gateway that dies with its callers' requests.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { headerOf } from '../../dataflow/journal/decode.ts'
import type { IncomingRecord } from '../../dataflow/kafka/client.ts'
import type { Worker } from '../../api/resources/worker.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { runCli } from '../support/run-cli.ts'
import { until } from '../support/models.ts'
import { applyCases, floats, PIPELINE_CASES, SIMPLE } from '../support/pipeline-cases.ts'
import { givenKey, openPipelineTopics, outputsOf, type PipelineTopics, topicOf } from '../support/pipeline-topics.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'
import { JAVASCRIPT_FLAGS, kafkaFlags } from '../support/stream-scene.ts'

const RESULT_MS = 20_000
const RECOVERY_MS = 60_000

let mesh: TestMesh
let kafka: TestKafka
let topics: PipelineTopics
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  kafka = await startKafka()
  mesh = await startMesh({
    replicas: 1,
    ...kafkaFlags(kafka.bootstrapServers),
    pipelineGateways: 1,
    engines: 1,
    ...JAVASCRIPT_FLAGS,
    restarts: (name) => name.startsWith('pipeline-gateway') || name.startsWith('engine'),
  })
  topics = openPipelineTopics(kafka.bootstrapServers)
  await applyCases(mesh.admin)
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await topics.close()
  await mesh.stop()
  await kafka.stop()
})

const all = (name: string, fromMs = 0) => topics.all([name], fromMs)

test.each(PIPELINE_CASES.map((one, index) => ({ ...one, key: `case-${String(index)}` })))(
  '$name',
  async ({ pipeline, inputs, gives, key }) => {
    await topics.feed(pipeline, [{ key, text: JSON.stringify({ inputs }) }])
    const result = await topics.resultOf(pipeline, key)
    const source = headerOf(result.headers, 'seldon-pipeline-errors')
    if (gives instanceof RegExp) {
      expect(source).toBeDefined()
      expect(result.value.toString()).toMatch(gives)
    } else {
      expect(source).toBeUndefined()
      expect(outputsOf(result)).toEqual(gives)
    }
  },
)

test('what is no request stops nothing: it lies on the errors topic with the reason, and the next one is run', async () => {
  await topics.feed('tfsimples', [
    { key: 'poison', text: 'hello' },
    { key: 'after', text: JSON.stringify({ inputs: SIMPLE }) },
  ])
  expect(outputsOf(await topics.resultOf('tfsimples', 'after'))).toHaveLength(2)
  const errors = (await all('seldon.default.errors.errors')).filter((record) => givenKey(record) === 'poison')
  expect(errors.map(({ value }) => value.toString())).toEqual([expect.stringMatching(/^tfsimples : /)])
})

test('what a pipeline got is fed again by millrace replay: each has a result of its own, which names the first', async () => {
  const keys = ['again-1', 'again-2', 'again-3']
  const text = JSON.stringify({ inputs: [floats('INPUT', 5, 6)] })
  const fromMs = Date.now()
  await topics.feed(
    'version-test',
    keys.map((key) => ({ key, text })),
  )
  const first = await Promise.all(keys.map((key) => topics.resultOf('version-test', key)))
  const { code, err } = await runCli([
    'replay',
    'version-test',
    '--from',
    new Date(fromMs).toISOString(),
    '--kafka-bootstrap-servers',
    kafka.bootstrapServers,
  ])
  expect([code, err]).toEqual([0, expect.anything()])
  const again = async () =>
    (await all(topicOf('version-test', 'outputs'), fromMs)).filter(
      ({ headers }) => headerOf(headers, 'x-millrace-replay-of') !== undefined,
    )
  await until('their results', async () => (await again()).length === keys.length, RESULT_MS)
  const found = await again()
  expect(new Set(found.map(({ headers }) => headerOf(headers, 'x-millrace-replay-of')))).toEqual(new Set(keys))
  for (const record of found) {
    expect(outputsOf(record)).toEqual([['OUTPUT', [15, 16]]])
    expect(first.map(({ key }) => key)).not.toContain(record.key)
  }
}, 60_000)

test('who reads a pipeline, and how far behind, is told by millrace', async () => {
  const { out } = await runCli(['get', 'workers', '-o', 'json', '--scheduler', mesh.scheduler])
  const { items } = JSON.parse(out) as { items: readonly Worker[] }
  const units = items.find(({ name }) => name === 'engine-0')?.units ?? []
  expect(units.map(({ name }) => name)).toContain('version-test')
  const told = async () => (await runCli(['describe', 'pipeline', 'version-test', '--scheduler', mesh.scheduler])).out
  await until('nothing is left', async () => /^Lag: +0 records/m.test(await told()), RESULT_MS)
})

test('an engine is killed while it works: every input has its result, and what is there twice is marked', async () => {
  const count = 1_500
  const keys = Array.from({ length: count }, (_, index) => `kill-${String(index)}`)
  const text = JSON.stringify({ inputs: [floats('INPUT', 1, 2)] })
  const results = async () =>
    (await all(topicOf('version-test', 'outputs'))).filter((record) => givenKey(record).startsWith('kill-'))
  await topics.feed(
    'version-test',
    keys.map((key) => ({ key, text })),
  )
  await until('some results', async () => (await results()).length > 50, RESULT_MS)
  await mesh.kill('engine-0')
  const distinct = async () => new Set((await results()).map(givenKey)).size
  await until('all results', async () => (await distinct()) === count, RECOVERY_MS)
  const found = await results()
  const seen = new Set<string>()
  const unmarked: string[] = []
  for (const record of found) {
    if (seen.has(givenKey(record)) && headerOf(record.headers, 'x-millrace-replayed') === undefined)
      unmarked.push(givenKey(record))
    seen.add(givenKey(record))
    expect(outputsOf(record)).toEqual([['OUTPUT', [11, 12]]])
  }
  // Of those in flight at the kill: their results were written, and nobody had read that.
  expect(unmarked).toEqual([])
}, 120_000)

test('a gateway dies with requests of its callers: each has an error, or its result', async () => {
  let isLoading = true
  const ask = async (): Promise<void> => {
    while (isLoading) {
      const response = await fetch(`http://${mesh.ingress}/v2/pipelines/tfsimples/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ inputs: SIMPLE }),
        signal: AbortSignal.timeout(RESULT_MS),
      }).catch(() => undefined)
      await response?.text().catch(() => '')
    }
  }
  const loads = Array.from({ length: 16 }, ask)
  const synchronous = async () =>
    (await all(topicOf('tfsimples', 'inputs'))).filter(
      ({ headers }) => headerOf(headers, 'x-millrace-gateway') !== undefined,
    )
  try {
    await until('requests', async () => (await synchronous()).length > 200, RESULT_MS)
    await mesh.kill('pipeline-gateway-0')
  } finally {
    isLoading = false
    await Promise.all(loads)
  }
  const inputs = await synchronous()
  let lost: readonly IncomingRecord[] = []
  await until(
    'an end of every request',
    async () => {
      const outputs = await all(topicOf('tfsimples', 'outputs'))
      const ended = new Set(outputs.map(({ key }) => key))
      lost = outputs.filter(({ value }) => value.includes('is gone: it did not finish this request'))
      return inputs.every(({ key }) => ended.has(key))
    },
    RECOVERY_MS,
  )
  for (const { headers } of lost) expect(headerOf(headers, 'seldon-pipeline-errors')).toBe('tfsimples')
}, 120_000)
