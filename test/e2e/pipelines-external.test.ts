/**
 * Pipelines that take from other pipelines, on real Envoy, Kafka and engine: called and fed ones, joins and their windows, errors
 * of the others, an engine that is killed. And a step that batches, fed through Kafka.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { decodeElements } from '../../api/oip/elements.ts'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { decodeRequest, decodeResponse, headerOf } from '../../dataflow/journal/decode.ts'
import type { IncomingRecord, KafkaProducer, OutgoingRecord } from '../../dataflow/kafka/client.ts'
import { encodeInferResponse } from '../../dataflow/model-client/infer-codec.ts'
import { readAll } from '../support/kafka-records.ts'
import { until } from '../support/models.ts'
import { floats } from '../support/pipeline-cases.ts'
import { printLogsOfFailedTests } from '../support/processes.ts'
import { startStreamScene, type StreamScene } from '../support/stream-scene.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'
import { startFeed } from '../support/topic-feed.ts'

const RESULT_MS = 20_000
const WINDOW_MS = 1_000

type Spec = PipelineResource['spec']
const pipeline = (name: string, spec: Spec): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name },
  spec,
})
/** One step that takes the tensor INPUT. */
const stepOf = (name: string, model: string, more: Partial<Spec> = {}): PipelineResource =>
  pipeline(name, { steps: [{ name: model, inputs: [`${name}.inputs.INPUT`] }], output: { steps: [model] }, ...more })
const from = (...externalInputs: string[]): NonNullable<Spec['input']> => ({
  externalInputs,
  tensorMap: Object.fromEntries(
    externalInputs.map((text, index) => [`${text}.OUTPUT`, index === 0 ? 'INPUT' : 'OTHER']),
  ),
})

/** `a` and `b` are no pipelines here: a program puts on their topics. */
const PIPELINES = [
  stepOf('source', 'add10'),
  stepOf('next', 'mul10', { input: from('source.outputs') }),
  stepOf('beside', 'add10', { input: from('source.outputs') }),
  stepOf('joined', 'add10', { input: from('next.outputs', 'beside.outputs') }),
  stepOf('gated', 'add10', { input: { ...from('source.outputs'), externalTriggers: ['source.inputs.GO'] } }),
  stepOf('over-topics', 'add10', { input: from('source.outputs'), dataflow: { execution: 'topics' } }),
  stepOf('of-step', 'add10', { input: from('source.step.add10.outputs') }),
  stepOf('inner', 'add10', { input: { ...from('a.outputs', 'b.outputs'), joinWindowMs: WINDOW_MS } }),
  stepOf('outer', 'add10', {
    input: { ...from('a.outputs', 'b.outputs'), joinType: 'outer', joinWindowMs: WINDOW_MS },
  }),
  stepOf('any', 'add10', { input: { ...from('a.outputs', 'b.outputs'), joinType: 'any' } }),
  pipeline('batched', {
    steps: [{ name: 'add10', batch: { size: 4, windowMs: 60_000 } }],
    output: { steps: ['add10'] },
  }),
]

let scene: StreamScene
let producer: KafkaProducer
printLogsOfFailedTests(() => scene.mesh)
beforeAll(async () => {
  scene = await startStreamScene({
    engines: 1,
    pipelineGateways: 1,
    modelGateways: 1,
    restarts: (name) => name.startsWith('engine'),
    pipelines: PIPELINES,
  })
  producer = scene.kafka.producer()
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await producer.close()
  await scene.stop()
})

const topicOf = (name: string, side: 'inputs' | 'outputs'): string => `seldon.default.pipeline.${name}.${side}`
const recordsOf = (name: string, side: 'inputs' | 'outputs') => readAll(scene.kafka, topicOf(name, side))
const givenKey = ({ headers, key }: IncomingRecord): string => headerOf(headers, 'x-millrace-key') ?? key

async function send(records: readonly Omit<OutgoingRecord, 'partition' | 'headers'>[]): Promise<void> {
  const all = records.map((record) => ({ ...record, partition: 0, headers: [] }))
  const results = await producer.send(all, { compression: 'none', timeoutMs: 10_000 })
  expect(results.filter(({ kind }) => kind !== 'acknowledged')).toEqual([])
}
const feed = (name: string, key: string, ...inputs: readonly object[]): Promise<void> =>
  send([{ topic: topicOf(name, 'inputs'), key, value: Buffer.from(JSON.stringify({ inputs })) }])

/** As if the pipeline had answered. */
function answerOf(name: string, key: string, value: number, timestampMs?: number) {
  const bytes = new Uint8Array(Float32Array.of(value).buffer)
  const outputs = [{ name: 'OUTPUT', datatype: 'FP32', shape: [1], bytes, parameters: {} }] as const
  const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: [...outputs] }
  return {
    topic: topicOf(name, 'outputs'),
    key,
    value: Buffer.concat(encodeInferResponse(response)),
    ...(timestampMs === undefined ? {} : { timestampMs }),
  }
}

/** What became of these requests, when so many records are there. */
async function untilRecords(name: string, side: 'inputs' | 'outputs', keys: readonly string[], count = keys.length) {
  let found: readonly IncomingRecord[] = []
  await until(
    `${side} of ${name}`,
    async () => {
      found = (await recordsOf(name, side)).filter((record) => keys.includes(givenKey(record)))
      return found.length >= count
    },
    RESULT_MS,
  )
  return found
}
const outputOf = ({ value }: IncomingRecord): readonly unknown[] =>
  decodeResponse(value).outputs.flatMap((tensor) => [...decodeElements(tensor)])
const inputsOf = (record: IncomingRecord) =>
  decodeRequest(record).inputs.map((tensor) => [tensor.name, ...decodeElements(tensor)])

test('51: who calls a pipeline is answered by it; those that take from it have one record each, under the same key', async () => {
  const response = await fetch(`http://${scene.mesh.ingress}/v2/pipelines/source/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-request-id': 'called', 'x-tenant': 'blue' },
    body: JSON.stringify({ inputs: [floats('INPUT', 1)] }),
  })
  expect(await response.json()).toMatchObject({ outputs: [{ name: 'OUTPUT', data: [11] }] })
  const key = '0.source.called'
  const expected = { next: 110, beside: 21, joined: 120, 'over-topics': 21, 'of-step': 21 }
  for (const [name, value] of Object.entries(expected)) {
    const [output] = await untilRecords(name, 'outputs', [key])
    expect([name, output && outputOf(output)]).toEqual([name, [value]])
    for (const record of [...(await recordsOf(name, 'inputs')), ...(await recordsOf(name, 'outputs'))]) {
      const header = (of: string) => headerOf(record.headers, of)
      expect([record.key, header('pipeline'), header('x-request-id'), header('x-tenant')]).toEqual([
        key,
        name,
        'called',
        'blue',
      ])
    }
    expect([await recordsOf(name, 'inputs'), await recordsOf(name, 'outputs')].map(({ length }) => length)).toEqual([1, 1]) // prettier-ignore
  }
  const [joined] = await recordsOf('joined', 'inputs')
  expect(joined && inputsOf(joined)).toEqual([
    ['INPUT', 110],
    ['OTHER', 21],
  ])
})

test('52: only what the external trigger came for flows on', async () => {
  await feed('source', 'without', floats('INPUT', 1))
  await feed('source', 'with', floats('INPUT', 2), floats('GO', 1))
  const [gated] = await untilRecords('gated', 'outputs', ['with'])
  expect(gated && outputOf(gated)).toEqual([22])
  await untilRecords('joined', 'outputs', ['without', 'with'])
  expect((await recordsOf('gated', 'inputs')).map(givenKey)).toEqual(['with'])
})

test('56: an error of the other pipeline, or what is no message at all, stops nothing and goes no further', async () => {
  await feed('source', 'failing', floats('WRONG', 1))
  const [error] = await untilRecords('source', 'outputs', ['failing'])
  expect(error && headerOf(error.headers, 'seldon-pipeline-errors')).toBe('source')
  await send([{ topic: topicOf('source', 'outputs'), key: 'garbage', value: Buffer.from([1, 2, 3]) }])
  await feed('source', 'after', floats('INPUT', 3))
  const [after] = await untilRecords('next', 'outputs', ['after'])
  expect(after && outputOf(after)).toEqual([130])
  expect((await recordsOf('next', 'inputs')).map(givenKey)).not.toContain('failing')
  const { resource } = await scene.mesh.admin.get('Pipeline', 'next')
  expect(resource.status).toMatchObject({ state: 'PipelineReady' })
})

test('what pipelines that are not there are named for is told, and not needed to be ready', async () => {
  const { resource } = await scene.mesh.admin.get('Pipeline', 'inner')
  expect(resource.status).toMatchObject({ state: 'PipelineReady' })
  for (const name of ['a', 'b'])
    expect(JSON.stringify(resource.status)).toContain(
      `nothing comes from pipeline ${name}, which it names as an input: there is none of that name`,
    )
})

test('inner joins what is within the window, outer gives what is there at its end, any the first alone', async () => {
  const nowMs = Date.now()
  await send([
    answerOf('a', 'near', 1, nowMs),
    answerOf('b', 'far', 4, nowMs + WINDOW_MS + 1),
    answerOf('a', 'far', 3, nowMs),
    answerOf('b', 'near', 2, nowMs + WINDOW_MS),
    answerOf('a', 'alone', 5, nowMs),
  ])
  const outer = await untilRecords('outer', 'inputs', ['near', 'alone'])
  expect(outer.map((record) => [record.key, ...inputsOf(record)])).toEqual([
    ['near', ['INPUT', 1], ['OTHER', 2]],
    ['alone', ['INPUT', 5]],
  ])
  const [inner] = await untilRecords('inner', 'outputs', ['near'])
  expect(inner && outputOf(inner)).toEqual([11])
  expect((await recordsOf('inner', 'inputs')).map(({ key }) => key)).toEqual(['near'])
  const any = await untilRecords('any', 'inputs', ['near', 'far', 'alone'])
  expect(new Map(any.map((record) => [record.key, inputsOf(record).length]))).toEqual(
    new Map([
      ['near', 1],
      ['far', 1],
      ['alone', 1],
    ]),
  )
  expect(any).toHaveLength(3)
})

test('an engine is killed while two pipelines are joined: each request has its result, what is there twice is marked', async () => {
  const target = {
    inputs: topicOf('source', 'inputs'),
    outputs: topicOf('joined', 'outputs'),
    makes: (input: number) => (input + 10) * 10 + 10,
  }
  const load = startFeed(scene.kafka, [target], 30, 'killed')
  try {
    await until('results', async () => (await load.count()).answered > 50, RESULT_MS)
    await scene.mesh.kill('engine-0')
    const before = (await load.count()).answered
    await until('more results', async () => (await load.count()).answered > before + 100, 2 * RESULT_MS)
  } finally {
    await load.stop()
  }
  await until('all results', async () => (await load.count()).missing.length === 0, 2 * RESULT_MS)
  const { failed, wrong, unmarked } = await load.count()
  expect({ failed, wrong, unmarked }).toEqual({ failed: 0, wrong: [], unmarked: [] })
}, 120_000)

test('members of a batch are answered together, each with its own rows', async () => {
  await feed('batched', 'one', floats('INPUT', 1, 2))
  await feed('batched', 'two', floats('INPUT', 3, 4))
  const results = await untilRecords('batched', 'outputs', ['one', 'two']) // the window alone would take a minute
  expect(new Map(results.map((record) => [givenKey(record), outputOf(record)]))).toEqual(
    new Map([
      ['one', [11, 12]],
      ['two', [13, 14]],
    ]),
  )
})
