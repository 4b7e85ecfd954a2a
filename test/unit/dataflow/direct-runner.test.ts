import { expect, test } from 'vitest'
import type { InferenceRequest, InferenceResponse } from '../../../api/oip/inference.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { type Journal, type JournalRecord, nullJournal } from '../../../dataflow/journal/journal.ts'
import { routesOf } from '../../../dataflow/journal/journal-headers.ts'
import { topicName } from '../../../dataflow/journal/topics.ts'
import type { ModelEnd } from '../../../dataflow/model-client/model-client.ts'
import { ownFailure } from '../../../dataflow/model-client/model-failure.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import { callerOf } from '../../../dataflow/runner/caller.ts'
import { createDirectRunner } from '../../../dataflow/runner/direct-runner.ts'
import type { JournalSettings, PipelineEnd, TopicOrigin } from '../../../dataflow/runner/pipeline-request.ts'
import { ServingError } from '../../../kit/errors.ts'
import { silentLogger } from '../../../kit/log.ts'
import { recordingBy } from '../../support/recording.ts'
import { runRequest } from '../../support/run-request.ts'
import { createWaiters } from '../../support/waiters.ts'

const tensor = (name: string): Tensor => ({
  name,
  datatype: 'UINT8',
  shape: [1],
  bytes: new Uint8Array([1]),
  parameters: {},
})
const response = (...names: readonly string[]): InferenceResponse => ({
  modelName: '',
  modelVersion: '',
  id: '',
  parameters: {},
  outputs: names.map(tensor),
})
const answered = (...names: readonly string[]): ModelEnd => ({
  kind: 'answered',
  response: response(...names),
  routes: [],
})

const CHAIN: PipelineSpec = { steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }], output: { steps: ['b'] } }
const SIDE: PipelineSpec = { steps: [{ name: 'a' }, { name: 'drift' }], output: { steps: ['a'] } }
const STRICT: JournalSettings = { record: 'all', wait: 'input', onFailure: 'fail-closed' }

const REQUEST = {
  request: { id: '', parameters: {}, inputs: [tensor('IN')], outputs: [] },
  requestId: 'r',
  headers: [['x-foo', 'bar']],
  timeoutMs: 10_000,
} as const

/** A runner whose models and journal answer when the test says so. */
function scene(options: { maxRequests?: number; partitions?: number; mark?: string } = {}) {
  const waiters = createWaiters()
  const calls: { model: string; request: InferenceRequest; cancelled: boolean; end: (end: ModelEnd) => void }[] = []
  const records: { record: JournalRecord; acknowledge: () => void; refuse: (error: Error) => void }[] = []
  const journal: Journal = {
    ...nullJournal,
    partitions: options.partitions ?? 1,
    status: () =>
      ({
        kind: 'kafka',
        available: true,
        brokers: 1,
        replicationFactor: 1,
        replicated: false,
        remark: '',
        spilledBytes: 0,
      }) as never,
    ...recordingBy(
      (record) =>
        new Promise((acknowledge, refuse) => {
          records.push({ record, acknowledge, refuse })
          waiters.look()
        }),
    ),
  }
  const runner = createDirectRunner({
    models: {
      infer: ({ model, request }, end) => {
        const call = { model, request, cancelled: false, end }
        calls.push(call)
        waiters.look()
        return () => {
          call.cancelled = true
          waiters.look()
        }
      },
    },
    journal,
    maxRequests: options.maxRequests ?? 10,
    ...(options.mark === undefined ? {} : { mark: options.mark }),
    log: silentLogger,
    nowMs: () => performance.now(),
  })
  const run = (
    spec: PipelineSpec,
    settings: Partial<JournalSettings> = {},
    timeoutMs = 10_000,
    signal = new AbortController().signal,
    origin?: TopicOrigin,
  ) => {
    const plan = compile('p', 1, spec)
    let end: PipelineEnd | undefined
    const ended = runRequest(runner, {
      ...REQUEST,
      plan,
      journal: { ...STRICT, ...settings },
      timeoutMs,
      caller: callerOf(signal),
      ...(origin === undefined ? {} : { origin }),
    })
    void ended.then((value) => {
      end = value
      waiters.look()
    })
    return { ended, plan, end: () => end }
  }
  const call = async (index: number) => {
    await waiters.until(`call ${String(index)}`, () => calls.length > index)
    const found = calls[index]
    if (found === undefined) throw new Error('unreachable')
    return found
  }
  return { run, runner, calls, call, records, until: waiters.until }
}

/** Lets everything that can happen without anybody's doing happen. */
const settle = () => new Promise((resolve) => setImmediate(resolve))
const topics = (records: ReturnType<typeof scene>['records']) =>
  records.map(({ record }) =>
    topicName({ prefix: 'seldon', namespace: 'default' }, record.topic).replace('seldon.default.', ''),
  )

test('a chain calls one step after the other and records every edge under one key, with its headers', async () => {
  const { run, call, records } = scene()
  const { ended } = run(CHAIN)
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  for (const { acknowledge } of records) acknowledge()
  expect(await ended).toMatchObject({ kind: 'answered', response: { outputs: [{ name: 'Y' }] } })
  expect(topics(records)).toEqual([
    'pipeline.p.inputs',
    'model.a.inputs',
    'model.a.outputs',
    'model.b.inputs',
    'model.b.outputs',
    'pipeline.p.outputs',
  ])
  for (const { record } of records) {
    expect([record.key, record.partition]).toEqual(['0.p.r', 0])
    expect(record.headers.slice(0, 4)).toEqual([
      ['pipeline', 'p'],
      ['x-pipeline-version', '1'],
      ['x-request-id', 'r'],
      ['x-foo', 'bar'],
    ])
  }
})

test.each([
  ['none', 0, 6],
  ['input', 1, 6],
  ['all', 6, 6],
] as const)('with wait: %s the answer waits for %i of its records', async (wait, awaited, recorded) => {
  const { run, call, records, until } = scene()
  const { ended, end } = run(CHAIN, { wait })
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  await until('all records', () => records.length === recorded)
  for (const { acknowledge } of records.slice(0, awaited)) {
    await settle()
    expect(end()).toBeUndefined()
    acknowledge()
  }
  expect((await ended).kind).toBe('answered')
})

test.each([
  ['none', 4],
  ['input', 4],
  ['all', 6],
] as const)('with wait: %s the caller is answered when %i records were made', async (wait, before) => {
  const { runner, call, records } = scene()
  let made = 0
  const ended = new Promise<PipelineEnd>((resolve) => {
    const asked = { ...REQUEST, plan: compile('p', 1, CHAIN), journal: { ...STRICT, wait } }
    runner.run({ ...asked, caller: callerOf(new AbortController().signal) }, (end) => {
      made = records.length
      resolve(end)
    })
  })
  ;(await call(0)).end(answered('X'))
  records[0]?.acknowledge()
  await settle()
  ;(await call(1)).end(answered('Y'))
  for (const { acknowledge } of records) acknowledge()
  expect((await ended).kind).toBe('answered')
  expect([made, records.length]).toEqual([before, 6])
})

test('records of answers name the routes that they took, the result those of all steps', async () => {
  const { run, call, records } = scene()
  const { ended } = run(CHAIN)
  ;(await call(0)).end({ kind: 'answered', response: response('X'), routes: [':a_1:'] })
  ;(await call(1)).end({ kind: 'answered', response: response('Y'), routes: [':b_1:', ':b_2:'] })
  for (const { acknowledge } of records) acknowledge()
  await ended
  expect(records.map(({ record }) => routesOf(record.headers))).toEqual([
    [],
    [],
    [':a_1:'],
    [],
    [':b_1:', ':b_2:'],
    [':a_1:', ':b_1:', ':b_2:'],
  ])
})

test('with record: boundary only the pipeline’s own ends are recorded, with none nothing', async () => {
  for (const [record, expected] of [
    ['boundary', ['pipeline.p.inputs', 'pipeline.p.outputs']],
    ['none', []],
  ] as const) {
    const { run, call, records } = scene()
    const { ended } = run(CHAIN, { record })
    ;(await call(0)).end(answered('X'))
    ;(await call(1)).end(answered('Y'))
    for (const { acknowledge } of records) acknowledge()
    await ended
    expect(topics(records)).toEqual(expected)
  }
})

test('an input that the journal refuses ends the request at once, and its calls', async () => {
  const { run, call, records } = scene()
  const { ended } = run(CHAIN)
  const first = await call(0)
  records[0]?.refuse(new ServingError('SERVER_UNAVAILABLE', 'no broker'))
  expect(await ended).toMatchObject({ kind: 'failed', failure: { source: 'p', httpStatus: 503, message: 'no broker' } })
  expect(first.cancelled).toBe(true)
})

test('records that nobody waits for may be refused', async () => {
  const { run, call, records } = scene()
  const { ended } = run(CHAIN, { wait: 'input' })
  records[0]?.acknowledge()
  ;(await call(0)).end(answered('X'))
  for (const { refuse } of records.slice(1)) refuse(new ServingError('SERVER_UNAVAILABLE', 'no broker'))
  ;(await call(1)).end(answered('Y'))
  expect((await ended).kind).toBe('answered')
})

test('a journal that does not answer ends the request at its deadline', async () => {
  const { run, call } = scene()
  const { ended } = run(CHAIN, {}, 400)
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  expect(await ended).toMatchObject({ kind: 'failed', failure: { code: 'DEADLINE_EXCEEDED', source: 'p' } })
})

test('a step that fails is named; the error is recorded for the pipeline and among the errors', async () => {
  const { run, call, records, until } = scene()
  const { ended } = run(CHAIN)
  records[0]?.acknowledge()
  ;(await call(0)).end({ kind: 'failed', failure: ownFailure('TENSOR_INVALID', 'wrong shape') })
  expect(await ended).toMatchObject({ kind: 'failed', failure: { source: 'a', httpStatus: 400, grpcStatus: 3 } })
  await until('the records of the error', () => records.length === 4)
  expect(topics(records).slice(2)).toEqual(['errors.errors', 'pipeline.p.outputs'])
  expect(records[2]?.record.headers.slice(-3)).toEqual([
    ['seldon-pipeline-errors', 'a'],
    ['x-millrace-error-code', 'TENSOR_INVALID'],
    ['x-millrace-error-status', '3'],
  ])
  expect(records[2]?.record.message).toEqual({ kind: 'error', text: 'a : wrong shape' })
})

test('a step that never answers ends at the deadline and is cancelled', async () => {
  const { run, call, records, runner } = scene()
  const { ended } = run(CHAIN, {}, 200)
  records[0]?.acknowledge()
  expect(await ended).toMatchObject({ kind: 'failed', failure: { code: 'DEADLINE_EXCEEDED' } })
  expect((await call(0)).cancelled).toBe(true)
  expect(runner.running()).toBe(0)
})

test('a caller that goes away ends the calls', async () => {
  const { run, call, runner } = scene()
  const gone = new AbortController()
  const { ended } = run(CHAIN, {}, 10_000, gone.signal)
  const first = await call(0)
  gone.abort()
  expect(await ended).toMatchObject({ kind: 'failed', failure: { code: 'CANCELLED' } })
  expect(first.cancelled).toBe(true)
  await runner.untilIdle()
})

test('a side branch goes on after the answer, and the plan is idle only when it has ended', async () => {
  const { run, call, calls, runner } = scene()
  const { ended, plan } = run(SIDE, { record: 'none' })
  await call(1)
  calls.find(({ model }) => model === 'a')?.end(answered('X'))
  expect((await ended).kind).toBe('answered')
  expect(runner.running()).toBe(1)
  let idle = false
  const waiting = runner.untilIdle(plan).then(() => {
    idle = true
  })
  await settle()
  expect(idle).toBe(false)
  calls.find(({ model }) => model === 'drift')?.end(answered('D'))
  await waiting
  expect(runner.running()).toBe(0)
})

test('a side branch ends at the deadline of its request', async () => {
  const { run, call, calls, runner } = scene()
  const { ended } = run(SIDE, { record: 'none' }, 400)
  await call(1)
  calls.find(({ model }) => model === 'a')?.end(answered('X'))
  await ended
  await runner.untilIdle()
  expect(calls.find(({ model }) => model === 'drift')?.cancelled).toBe(true)
})

test('beyond the bound requests are refused', async () => {
  const { run, call } = scene({ maxRequests: 1 })
  run(CHAIN)
  await call(0)
  expect(await run(CHAIN).ended).toMatchObject({ kind: 'failed', failure: { httpStatus: 429, grpcStatus: 8 } })
})

test('requests are spread over the partitions, all records of one on the same', async () => {
  const { run, calls, records, until } = scene({ partitions: 3 })
  for (let index = 0; index < 3; index += 1) run(CHAIN)
  await until('the calls', () => calls.length === 3)
  expect(new Set(records.map(({ record }) => record.partition))).toEqual(new Set([0, 1, 2]))
  for (const { record } of records) expect(String(record.key).startsWith(`${String(record.partition)}.`)).toBe(true)
})

test('only the record of its input says which gateway runs a request', async () => {
  const { run, call, records } = scene({ mark: 'gateway-0/e1' })
  const { ended } = run(CHAIN, { wait: 'none' })
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  await ended
  const marked = records.filter(({ record }) => record.headers.some(([name]) => name === 'x-millrace-gateway'))
  expect(topics(marked)).toEqual(['pipeline.p.inputs'])
  expect(marked[0]?.record.headers).toContainEqual(['x-millrace-gateway', 'gateway-0/e1'])
})

test('only what the steps are asked says that they have been asked', async () => {
  const { run, call, records } = scene()
  const { ended } = run(CHAIN, { wait: 'none' })
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  await ended
  const marked = records.filter(({ record }) => record.headers.some(([name]) => name === 'x-millrace-runner'))
  expect(topics(marked)).toEqual(['model.a.inputs', 'model.b.inputs'])
})

/** A request that is a record already, and what its end was given to the journal as. */
const fromTopic = (answers: TopicOrigin['answers'] = new Map()) => {
  const terminals: Promise<void>[] = []
  const onTerminal = (written: Promise<void>): void => void terminals.push(written)
  const marks = [['x-millrace-key', 'theirs']] as const
  return { terminals, origin: { key: '3.p.theirs', partition: 3, marks, answers, onTerminal } }
}
const NEVER = new AbortController().signal

test('a request from a topic is not written there again, and waits for nothing', async () => {
  const { run, call, records } = scene({ partitions: 4, mark: 'gateway-0/e1' })
  const { origin, terminals } = fromTopic()
  const { ended } = run(CHAIN, { wait: 'all' }, 10_000, NEVER, origin)
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end(answered('Y'))
  expect((await ended).kind).toBe('answered')
  expect(topics(records)).toEqual([
    'model.a.inputs',
    'model.a.outputs',
    'model.b.inputs',
    'model.b.outputs',
    'pipeline.p.outputs',
  ])
  for (const { record } of records) {
    expect([record.key, record.partition, record.awaited]).toEqual(['3.p.theirs', 3, false])
    expect(record.headers).toContainEqual(['x-millrace-key', 'theirs'])
    expect(record.headers.map(([name]) => name)).not.toContain('x-millrace-gateway')
  }
  expect(records.map(({ record }) => record.urgent)).toEqual([false, false, false, false, true])
  expect(terminals).toHaveLength(1)
  records.at(-1)?.acknowledge()
  await terminals[0]
})

test('its failure is its end, on the errors topic and in the place of its result', async () => {
  const { run, call, records } = scene()
  const { origin, terminals } = fromTopic()
  const { ended } = run(CHAIN, {}, 10_000, NEVER, origin)
  ;(await call(0)).end({ kind: 'failed', failure: ownFailure('INFERENCE_FAILED', 'no') })
  expect((await ended).kind).toBe('failed')
  expect(topics(records)).toEqual(['model.a.inputs', 'errors.errors', 'pipeline.p.outputs'])
  expect(terminals).toHaveLength(1)
})

test('a step that answered before a crash is not asked again', async () => {
  const { run, call, calls } = scene()
  const { origin } = fromTopic(new Map([['a', response('X')]]))
  const { ended } = run(CHAIN, {}, 10_000, NEVER, origin)
  const only = await call(0)
  expect(only.model).toBe('b')
  expect(only.request.inputs.map(({ name }) => name)).toEqual(['X'])
  only.end(answered('Y'))
  expect((await ended).kind).toBe('answered')
  expect(calls).toHaveLength(1)
})

test("the failure of a side branch is nobody's result", async () => {
  const { run, call, records } = scene()
  const { ended, plan } = run(SIDE, { wait: 'none' })
  ;(await call(0)).end(answered('X'))
  ;(await call(1)).end({ kind: 'failed', failure: ownFailure('INFERENCE_FAILED', 'no') })
  await ended
  expect(plan.outputNode).toBeDefined()
  expect(
    topics(records)
      .filter((topic) => /errors|pipeline.p.outputs/.test(topic))
      .toSorted(),
  ).toEqual(['errors.errors', 'pipeline.p.outputs'])
})

test('a pipeline without an output ends when its steps have, and says that it answers nothing', async () => {
  const { run, call } = scene()
  const { ended } = run({ steps: [{ name: 'a' }] }, { wait: 'none' })
  ;(await call(0)).end(answered('X'))
  expect(await ended).toMatchObject({ kind: 'failed', failure: { code: 'PIPELINE_NO_OUTPUT' } })
})

test('a step with a batch is asked once for several requests, and each gets its own rows; the journal has each by itself', async () => {
  const { run, call, calls, records } = scene()
  const spec: PipelineSpec = { steps: [{ name: 'a', batch: { size: 2, windowMs: 10_000 } }], output: { steps: ['a'] } }
  const [first, second] = [run(spec, { wait: 'none' }), run(spec, { wait: 'none' })]
  const together = await call(0)
  expect(together.request.inputs.map(({ shape, bytes }) => [shape, [...bytes]])).toEqual([[[2], [1, 1]]])
  const rows: Tensor = { ...tensor('Y'), shape: [2], bytes: new Uint8Array([7, 8]) }
  together.end({ kind: 'answered', response: { ...response(), outputs: [rows] }, routes: [] })
  const ends = await Promise.all([first.ended, second.ended])
  expect(
    ends.map((end) => (end.kind === 'answered' ? end.response.outputs.map(({ bytes }) => [...bytes]) : end)),
  ).toEqual([[[7]], [[8]]])
  expect(calls).toHaveLength(1)
  expect(topics(records).filter((topic) => topic === 'model.a.inputs')).toHaveLength(2)
})
