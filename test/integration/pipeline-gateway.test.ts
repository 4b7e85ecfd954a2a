/** One gateway between a fake scheduler and fake models: interfaces, errors, deadlines, plans kept over restarts. */
import { connect } from 'node:net'
import { Metadata, status } from '@grpc/grpc-js'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import type { FakeSubscription } from '../support/fake-dataflow-scheduler.ts'
import { refusal } from '../support/fake-ingress.ts'
import { grpcCall } from '../support/grpc-call.ts'
import {
  type PipelineGatewayRig,
  type RunningGateway,
  startPipelineGatewayRig,
} from '../support/pipeline-gateway-rig.ts'

const CHAIN: PipelineSpec = {
  steps: [{ name: 'add10' }, { name: 'mul10', inputs: ['add10'], tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' } }],
  output: { steps: ['mul10'] },
}
const ONE: PipelineSpec = { steps: [{ name: 'add10' }], output: { steps: ['add10'] } }
const BODY = JSON.stringify({ inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [2], data: [1, 2] }] })

let rig: PipelineGatewayRig
let gateway: RunningGateway
let subscription: FakeSubscription

beforeAll(async () => {
  rig = await startPipelineGatewayRig()
  gateway = await rig.startGateway('--max-concurrent-per-model', '1', '--max-queued-per-model', '1')
  subscription = await rig.scheduler.subscription(0)
  subscription.send({ synchronised: { held: [], storeId: 'store' } })
  await rig.load(subscription, 'chain', 1, CHAIN)
})
afterAll(async () => {
  await rig.stop()
})
afterEach(() => {
  usualModels()
})

function usualModels(): void {
  rig.ingress.models.set('add10', ({ INPUT = [] }) => ({ OUTPUT: INPUT.map((value) => value + 10) }))
  rig.ingress.models.set('mul10', ({ INPUT = [] }) => ({ OUTPUT: INPUT.map((value) => value * 10) }))
}

const post = (
  path: string,
  headers: Record<string, string> = {},
  body: string | Uint8Array = BODY,
  signal?: AbortSignal,
) =>
  fetch(`${gateway.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
    ...(signal === undefined ? {} : { signal }),
  })

const inferGrpc = (metadata: Metadata, modelName = '', deadlineMs = 10_000) =>
  grpcCall<ModelInferResponse__Output>((callback) =>
    gateway.client.ModelInfer(
      { modelName, inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [2], contents: { fp32Contents: [1, 2] } }] },
      metadata,
      { deadline: Date.now() + deadlineMs },
      callback,
    ),
  )

test('a chain answers by REST under both paths, with the headers of the request and its version', async () => {
  usualModels()
  for (const path of ['/v2/models/chain.pipeline/infer', '/v2/pipelines/chain/infer']) {
    const response = await post(path, { 'x-request-id': 'r1', 'x-foo': 'bar' })
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ model_name: '', outputs: [{ name: 'OUTPUT', data: [110, 120] }] })
    expect(response.headers.get('x-request-id')).toBe('r1')
    expect(response.headers.get('x-pipeline-version')).toBe('1')
    expect(response.headers.get('x-seldon-route')).toBe(':add10_1:,:mul10_1:')
    expect(response.headers.get('x-foo')).toBe('bar')
  }
  const last = rig.ingress.calls.at(-1)
  expect(last?.model).toBe('mul10')
  expect(last?.metadata.get('x-request-id')).toEqual(['r1'])
  expect(last?.metadata.get('x-foo')).toEqual(['bar'])
  expect(last?.inputs).toEqual({ INPUT: [11, 12] })
})

test('a chain answers by gRPC, named by header or by message', async () => {
  const metadata = new Metadata()
  metadata.set('seldon-model', 'chain.pipeline')
  for (const answer of [await inferGrpc(metadata), await inferGrpc(new Metadata(), 'chain.pipeline')]) {
    expect(answer.modelName).toBe('')
    expect(answer.outputs[0]?.contents?.fp32Contents).toEqual([110, 120])
  }
})

test('a stream of inferences is refused, and says what to call instead', async () => {
  const stream = gateway.client.ModelStreamInfer()
  const failure = new Promise((resolve) => stream.on('error', resolve).on('data', () => undefined))
  stream.write({ modelName: 'chain.pipeline' })
  expect(await failure).toMatchObject({
    code: status.UNIMPLEMENTED,
    details: expect.stringContaining('call ModelInfer for each request') as string,
  })
})

test('the name in a header wins over the one in the path, and the last of several is meant', async () => {
  const internal = { 'seldon-internal-model': 'other.pipeline, chain.pipeline', 'seldon-model': 'nobody.pipeline' }
  expect((await post('/v2/models/x.pipeline/infer', internal)).status).toBe(200)
  const wrong = await post('/v2/models/chain.pipeline/infer', { 'seldon-model': 'chain.model' })
  expect(wrong.status).toBe(400)
  const unknown = await post('/v2/pipelines/nobody/infer')
  expect(unknown.status).toBe(404)
  expect(await unknown.json()).toMatchObject({ code: 'PIPELINE_NOT_FOUND' })
})

test('a failing step is named, with its own class by REST and its own code by gRPC', async () => {
  rig.ingress.models.set('mul10', () => {
    throw refusal(status.INVALID_ARGUMENT, 'the shape is wrong')
  })
  const response = await post('/v2/pipelines/chain/infer')
  expect(response.status).toBe(400)
  expect(await response.json()).toMatchObject({ error: 'mul10 : the shape is wrong', source: 'mul10' })
  await expect(inferGrpc(new Metadata(), 'chain.pipeline')).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
    details: 'mul10 : the shape is wrong',
  })
  rig.ingress.models.delete('mul10')
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(404)
})

test('37, 57: an outer join with one input missing answers once, at its window’s end, with each request’s own headers', async () => {
  const spec: PipelineSpec = {
    steps: [
      { name: 'add10' },
      { name: 'silent' },
      {
        name: 'mul10',
        inputs: ['add10.outputs.OUTPUT', 'silent.outputs.OUTPUT'],
        inputsJoinType: 'outer',
        joinWindowMs: 200,
        tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' },
      },
    ],
    output: { steps: ['mul10'] },
  }
  let answerLate: () => void = () => undefined
  const late = new Promise<Record<string, number[]>>((resolve) => {
    answerLate = () => {
      resolve({ OUTPUT: [0, 0] })
    }
  })
  rig.ingress.models.set('silent', () => late)
  await rig.load(subscription, 'outer', 1, spec)
  const before = rig.ingress.calls.length
  const ids = ['o1', 'o2']
  const answers = await Promise.all(
    ids.map((id) => post('/v2/pipelines/outer/infer', { 'x-request-id': id, 'x-foo': `of ${id}` })),
  )
  for (const [index, answer] of answers.entries()) {
    expect([answer.status, await answer.json()]).toMatchObject([200, { outputs: [{ data: [110, 120] }] }])
    expect(answer.headers.get('x-foo')).toBe(`of ${String(ids[index])}`)
  }
  answerLate() // which changes nothing any more
  await rig.ingress.until(
    'the late calls',
    () => rig.ingress.calls.slice(before).filter(({ model }) => model === 'silent').length === 2,
  )
  const joined = rig.ingress.calls.slice(before).filter(({ model }) => model === 'mul10')
  expect(joined.map(({ metadata }) => String(metadata.get('x-request-id')[0])).toSorted()).toEqual(ids)
  for (const { metadata } of joined)
    expect(metadata.get('x-foo')).toEqual([`of ${String(metadata.get('x-request-id')[0])}`])
})

test('41: a trigger that does not come in time ends at the deadline, and the error says what was waited for', async () => {
  const spec: PipelineSpec = {
    steps: [{ name: 'mute' }, { name: 'add10', triggers: ['mute.outputs.OUTPUT'] }],
    output: { steps: ['add10'] },
    timeoutMs: 200,
  }
  rig.ingress.models.set('mute', () => new Promise(() => undefined))
  await rig.load(subscription, 'triggered', 1, spec)
  const answer = await post('/v2/pipelines/triggered/infer')
  expect(answer.status).toBe(504)
  expect(await answer.json()).toMatchObject({ error: expect.stringContaining('mute') as string })
})

test('a step that never answers ends at the deadline of the caller, of the pipeline or of gRPC, and is cancelled', async () => {
  rig.ingress.models.set('add10', () => new Promise(() => undefined))
  const [calls, cancelled] = [rig.ingress.calls.length, rig.ingress.cancelled.length]
  const late = await post('/v2/pipelines/chain/infer', { 'x-request-timeout-ms': '300' })
  expect(late.status).toBe(504)
  expect(await late.json()).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  await rig.load(subscription, 'impatient', 1, { ...ONE, timeoutMs: 300 })
  expect((await post('/v2/pipelines/impatient/infer')).status).toBe(504)
  await expect(inferGrpc(new Metadata(), 'chain.pipeline', 300)).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  })
  const came = () => rig.ingress.calls.length - calls // a request whose time was over at once asks nobody
  await rig.ingress.until(
    'all calls to be cancelled',
    () => came() > 0 && rig.ingress.cancelled.length - cancelled === came(),
  )
  expect((await post('/v2/pipelines/chain/infer', { 'x-request-timeout-ms': 'soon' })).status).toBe(400)
})

test('a client that goes away cancels its steps', async () => {
  rig.ingress.models.set('add10', () => new Promise(() => undefined))
  const gone = new AbortController()
  const [before, cancelledBefore] = [rig.ingress.calls.length, rig.ingress.cancelled.length]
  const asked = post('/v2/pipelines/chain/infer', {}, BODY, gone.signal)
  asked.catch(() => undefined)
  await rig.ingress.until('the call', () => rig.ingress.calls.length > before)
  gone.abort()
  await rig.ingress.until('its end', () => rig.ingress.cancelled.length > cancelledBefore)
  await expect(asked).rejects.toThrow()
})

test('beyond what runs and waits for a model, calls are refused by 429 and RESOURCE_EXHAUSTED', async () => {
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  rig.ingress.models.set('add10', async () => {
    await held
    return { OUTPUT: [1, 2] }
  })
  const before = rig.ingress.calls.length
  const running = post('/v2/pipelines/chain/infer')
  await rig.ingress.until('the first call', () => rig.ingress.calls.length > before)
  const others = [1, 2, 3].map(() => post('/v2/pipelines/chain/infer'))
  const firstRefused = await Promise.race(others)
  expect(firstRefused.status).toBe(429)
  await expect(inferGrpc(new Metadata(), 'chain.pipeline')).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED })
  release()
  const statuses = (await Promise.all([running, ...others]))
    .map((response) => response.status)
    .toSorted((a, b) => a - b)
  expect(statuses).toEqual([200, 200, 429, 429])
})

test('metadata and readiness are those of the models of the steps', async () => {
  const ready = await fetch(`${gateway.url}/v2/pipelines/chain/ready`)
  expect([ready.status, await ready.json()]).toEqual([200, { name: 'chain', ready: true }])
  const metadata = await fetch(`${gateway.url}/v2/models/chain.pipeline`)
  expect(await metadata.json()).toMatchObject({
    name: 'chain',
    versions: ['1'],
    platform: 'pipeline',
    inputs: [{ name: 'INPUT', datatype: 'FP32', shape: [-1] }],
    outputs: [{ name: 'OUTPUT', datatype: 'FP32', shape: [-1] }],
  })
  rig.ingress.models.delete('mul10')
  const missing = await fetch(`${gateway.url}/v2/models/chain.pipeline/ready`)
  expect([missing.status, await missing.json()]).toEqual([424, { name: 'chain', ready: false, missing: ['mul10'] }])
  expect((await fetch(`${gateway.url}/v2/models/chain.pipeline`)).status).toBe(424)
  expect((await fetch(`${gateway.url}/v2/pipelines/nobody/ready`)).status).toBe(404)
  const answer = await grpcCall<{ ready: boolean }>((callback) =>
    gateway.client.ModelReady({ name: 'chain.pipeline' }, callback),
  )
  expect(answer.ready).toBe(false)
})

test('ten megabytes pass, as binary data in and out', async () => {
  const values = Float32Array.from({ length: 2_621_440 }, (_, index) => index)
  const json = JSON.stringify({
    inputs: [
      { name: 'INPUT', datatype: 'FP32', shape: [values.length], parameters: { binary_data_size: values.byteLength } },
    ],
    parameters: { binary_data_output: true },
  })
  const body = Buffer.concat([Buffer.from(json), new Uint8Array(values.buffer)])
  const response = await post(
    '/v2/pipelines/chain/infer',
    { 'inference-header-content-length': String(json.length) },
    body,
  )
  expect(response.status).toBe(200)
  const jsonLength = Number(response.headers.get('inference-header-content-length'))
  const bytes = (await response.arrayBuffer()).slice(jsonLength)
  const answer = new Float32Array(bytes)
  expect(answer.length).toBe(values.length)
  expect(answer.at(-1)).toBe(Math.fround(Math.fround(2_621_439 + 10) * 10))
})

test('garbage is refused and ends nothing', async () => {
  expect((await post('/v2/pipelines/chain/infer', {}, 'no json')).status).toBe(400)
  expect((await post('/v2/pipelines/chain/infer', {}, '{"inputs":[{"name":"a"}]}')).status).toBe(400)
  expect((await post('/v2/pipelines/%zz/infer')).status).toBe(400)
  expect((await post('/v2/elsewhere')).status).toBe(404)
  for (const port of [gateway.restPort, gateway.grpcPort]) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined)
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.resume().end(Buffer.from(Array.from({ length: 5_000 }, (_, index) => (index * 7919) % 256)))
    await closed
  }
  const odd = `POST /v2/pipelines/chain/infer HTTP/1.1\r\nhost: a\r\nx-foo: \xff\xfe\x09\r\ncontent-length: ${String(BODY.length)}\r\nconnection: close\r\n\r\n${BODY}`
  const answer = await new Promise<string>((resolve) => {
    const socket = connect(gateway.restPort, '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => (text += chunk.toString('latin1')))
    socket.once('close', () => {
      resolve(text)
    })
    socket.write(Buffer.from(odd, 'latin1'))
  })
  expect(answer).toMatch(/^HTTP\/1\.1 200 /)
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(200)
})

test('a version that is loaded serves when the scheduler says so; a running request keeps the one it began with', async () => {
  const adds: PipelineSpec = ONE
  const multiplies: PipelineSpec = { steps: [{ name: 'mul10' }], output: { steps: ['mul10'] } }
  await rig.load(subscription, 'changing', 1, adds)
  subscription.send({ serve: { pipeline: 'changing', version: 1, uid: 'changing-1' } })
  await rig.load(subscription, 'changing', 2, multiplies)
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  rig.ingress.models.set('add10', async ({ INPUT = [] }) => {
    await held
    return { OUTPUT: INPUT.map((value) => value + 10) }
  })
  const before = rig.ingress.calls.length
  const old = post('/v2/pipelines/changing/infer')
  await rig.ingress.until('the call', () => rig.ingress.calls.length > before)
  expect(rig.ingress.calls.at(-1)?.model).toBe('add10')
  subscription.send({ serve: { pipeline: 'changing', version: 2, uid: 'changing-2' } })
  subscription.send({ unload: { pipeline: 'changing', version: 1, keepTopics: true } })
  await rig.load(subscription, 'marker', 1, ONE) // messages are in order: what was said before is done
  const fresh = await post('/v2/pipelines/changing/infer')
  expect([fresh.headers.get('x-pipeline-version'), await fresh.json()]).toMatchObject([
    '2',
    { outputs: [{ data: [10, 20] }] },
  ])
  expect(subscription.reports).not.toContain('changing 1 UNLOADED')
  release()
  const kept = await old
  expect([kept.headers.get('x-pipeline-version'), await kept.json()]).toMatchObject([
    '1',
    { outputs: [{ data: [11, 12] }] },
  ])
  await rig.scheduler.until('the old version to be unloaded', () =>
    subscription.reports.includes('changing 1 UNLOADED'),
  )
})

test('a spec that cannot be read is reported, and nothing is held of it', async () => {
  subscription.send({ load: { pipeline: 'broken', version: 1, uid: 'b', specJson: '{"steps":' } })
  await rig.scheduler.until('the report', () => subscription.reports.includes('broken 1 FAILED'))
  expect((await post('/v2/pipelines/broken/infer')).status).toBe(404)
})

test('without a scheduler it serves, over a restart too, and introduces itself with what it holds', async () => {
  await rig.scheduler.kill()
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(200)
  await gateway.stop()
  gateway = await rig.startGateway()
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(200)
  const changed = await post('/v2/pipelines/changing/infer')
  expect(changed.headers.get('x-pipeline-version')).toBe('2')
  const before = rig.scheduler.subscriptions.length
  await rig.scheduler.restart()
  subscription = await rig.scheduler.subscription(before)
  expect(subscription.introduction).toMatchObject({
    role: 'PIPELINE_GATEWAY',
    storeId: 'store',
    restPort: gateway.restPort,
  })
  expect(subscription.introduction?.held).toContainEqual({ pipeline: 'chain', version: 1, uid: 'chain-1' })
  subscription.send({ synchronised: { held: [{ pipeline: 'chain', version: 1, uid: 'chain-1' }], storeId: 'store' } })
  await rig.load(subscription, 'marker', 2, ONE)
  expect((await post('/v2/pipelines/changing/infer')).status).toBe(404)
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(200)
})

test('plans of another store are not dropped', async () => {
  subscription.send({ synchronised: { held: [], storeId: 'another' } })
  await rig.load(subscription, 'marker', 3, ONE)
  expect((await post('/v2/pipelines/chain/infer')).status).toBe(200)
})

test('a gateway that stops asks to be left out, then ends what runs', async () => {
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  rig.ingress.models.set('add10', async ({ INPUT = [] }) => {
    await held
    return { OUTPUT: INPUT }
  })
  const before = rig.ingress.calls.length
  const running = post('/v2/pipelines/chain/infer')
  await rig.ingress.until('the call', () => rig.ingress.calls.length > before)
  const stopped = gateway.stop()
  await rig.scheduler.until('draining', () => subscription.draining)
  release()
  subscription.send({ drained: { reason: '' } })
  expect((await running).status).toBe(200)
  await stopped
})
