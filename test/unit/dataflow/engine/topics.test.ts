/** Requests over topics, in memory: whatever the order, the doubles and the deaths, the records are those of the direct runner. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import type { InferenceRequest } from '../../../../api/oip/inference.ts'
import type { Tensor } from '../../../../api/oip/tensor.ts'
import { decodeResponse, headerOf } from '../../../../dataflow/journal/decode.ts'
import type { IncomingRecord } from '../../../../dataflow/kafka/client.ts'
import { createDirectRunner } from '../../../../dataflow/runner/direct-runner.ts'
import { callerOf } from '../../../../dataflow/runner/caller.ts'
import { runRequest } from '../../../support/run-request.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { conditional, counter, fp32, identity, int32, mul10 } from '../models.ts'
import { type Model, valuesOf } from '../virtual-run.ts'
import { encoded, encodedResponse, heldPlan, kafkaInMemory, requestOf } from './kafka-in-memory.ts'
import { topicsScene } from './topics-scene.ts'

const asRequest = (...tensors: readonly Tensor[]): InferenceRequest => ({
  id: '',
  parameters: {},
  inputs: tensors,
  outputs: [],
})
const X = asRequest(int32('x', [1]), int32('y', [2]))
const over = (spec: PipelineSpec): PipelineSpec => ({ timeoutMs: 20_000, ...spec, dataflow: { execution: 'topics' } })
const named =
  (name: string): Model =>
  () => [int32(name, [name.length])]
const LETTERS = { a: named('A'), b: named('B'), c: named('C'), d: named('D') }
const CHAIN = over({
  steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }, { name: 'c', inputs: ['b'] }],
  output: { steps: ['c'] },
})

interface Case {
  readonly spec: PipelineSpec
  readonly models: Readonly<Record<string, Model>>
  readonly request: InferenceRequest
}
const CASES: Readonly<Record<string, Case>> = {
  chain: { spec: CHAIN, models: LETTERS, request: X },
  join: {
    spec: over({
      steps: [{ name: 'a' }, { name: 'b' }, { name: 'c', inputs: ['a', 'b', 'p.inputs.x'] }, { name: 'd' }],
      output: { steps: ['c', 'a.inputs.y', 'd'] },
    }),
    models: LETTERS,
    request: X,
  },
  triggers: {
    spec: over({
      steps: [{ name: 'a' }, { name: 'b', triggers: ['a', 'd'] }, { name: 'd', inputs: ['p.inputs.y'] }],
      output: { steps: ['b'] },
    }),
    models: LETTERS,
    request: X,
  },
  conditional: {
    spec: over({
      steps: [
        { name: 'conditional' },
        {
          name: 'mul10',
          inputs: ['conditional.outputs.OUTPUT1'],
          tensorMap: { 'conditional.outputs.OUTPUT1': 'INPUT' },
        },
        { name: 'a', inputs: ['conditional.outputs.OUTPUT0'] },
      ],
      output: { steps: ['mul10', 'a'], stepsJoin: 'any' },
    }),
    models: { conditional, mul10, ...LETTERS },
    request: asRequest(int32('CHOICE', [1]), fp32('INPUT0', [1]), fp32('INPUT1', [2])),
  },
  loop: {
    spec: over({
      allowCycles: true,
      maxStepRevisits: 20,
      steps: [
        { name: 'counter', inputs: ['p.inputs.x', 'identity.outputs.output'], inputsJoinType: 'any' },
        { name: 'identity', inputs: ['counter.outputs.output'], triggers: ['counter.outputs.continue'] },
      ],
      output: { steps: ['counter.outputs.stop'] },
    }),
    models: { counter, identity },
    request: asRequest(int32('x', [5])),
  },
}

/** What readers of the topics see of a request, in no order. */
const seenOf = (records: readonly IncomingRecord[]): readonly string[] =>
  records
    .map(({ topic, key, headers, value }) => {
      const shown = headers.filter(([name]) => !name.startsWith('x-millrace-')).map((header) => header.join('='))
      return [topic, key, ...shown.toSorted(), value.toString('hex')].join(' ')
    })
    .toSorted()

const topicsOf = (spec: PipelineSpec): readonly string[] => [
  'seldon.default.pipeline.p.outputs',
  'seldon.default.errors.errors',
  ...spec.steps.flatMap(({ name }) => ['inputs', 'outputs'].map((side) => `seldon.default.model.${name}.${side}`)),
]

async function directly({ spec, models, request }: Case): Promise<readonly string[]> {
  const kafka = kafkaInMemory()
  const { plan, journal } = heldPlan('p', spec)
  const runner = createDirectRunner({
    models: {
      infer: ({ model, request: asked }, onEnd) => {
        const outputs = models[model]?.(asked.inputs, asked)
        if (outputs === undefined || outputs instanceof Error) throw new Error('this model does not fail')
        queueMicrotask(() => {
          const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs }
          onEnd({ kind: 'answered', response, routes: [] })
        })
        return () => undefined
      },
    },
    journal: kafka.journal,
    maxRequests: 1,
    log: silentLogger,
    nowMs: () => 0,
  })
  const caller = callerOf(new AbortController().signal)
  await runRequest(runner, { plan, journal, request, requestId: 'r', headers: [], timeoutMs: 10_000, caller })
  await runner.untilIdle()
  return seenOf(topicsOf(spec).flatMap((topic) => kafka.recordsOf(topic)))
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('the records are those of the direct runner', () => {
  test.each(Object.entries(CASES))('%s, in any order, with doubles, kills and hand-overs', async (_, one) => {
    const expected = await directly(one)
    expect(expected.length).toBeGreaterThan(2)
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ what: fc.nat(9), which: fc.nat() }), { maxLength: 40 }), async (moves) => {
        const scene = topicsScene(heldPlan('p', one.spec), one)
        await scene.start()
        const input = scene.ask('0.p.r', encoded(one.request), [['x-request-id', 'r']])
        const all = () => topicsOf(one.spec).flatMap((topic) => scene.recordsOf(topic))
        for (const { what, which } of moves) {
          await settled()
          const asked = scene.asked()
          if (what < 6 && asked.length > 0) scene.answer(asked[which % asked.length] as IncomingRecord)
          else if (what === 6) await scene.kill()
          else if (what === 7) await scene.handOver()
          else {
            const there = all().filter(({ topic }) => /model.*outputs|errors/.test(topic))
            if (there.length > 0) scene.deliver(there[which % there.length] as IncomingRecord)
          }
        }
        await settled()
        for (let asked = scene.asked(); asked.length > 0; asked = scene.asked()) {
          scene.answer(asked[0] as IncomingRecord)
          await settled()
        }
        expect(seenOf(all())).toEqual(expected)
        // Done, or its result is there for who begins.
        expect(scene.done.has(input) || scene.outputs().length === 1).toBe(true)
      }),
      { numRuns: 40 },
    )
  })
})

test('a step that fails: its error is the result, with its class, and is told once among the errors', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: { ...LETTERS, b: () => new Error('no') } })
  await scene.start()
  const input = scene.ask('0.p.r', encoded(X))
  for (let asked = scene.asked(); asked.length > 0; asked = scene.asked()) scene.answer(asked[0] as IncomingRecord)
  await settled()
  expect(scene.errors().map(({ value }) => value.toString())).toEqual(['b : no'])
  expect(scene.outputs().map(({ value }) => value.toString())).toEqual(['b : no'])
  expect(headerOf(scene.outputs()[0]?.headers ?? [], 'x-millrace-error-code')).toBe('INFERENCE_FAILED')
  expect([scene.outcomes, scene.done.has(input)]).toEqual([['failed'], true])
})

test('what is put on a step begins a request there: what comes behind it runs, what comes before does not', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS })
  await scene.start()
  scene.deliver(scene.put('seldon.default.model.b.outputs', 'mine', encodedResponse('B'), [['pipeline', 'p']]))
  expect(scene.asked().map(({ topic, key }) => [topic, key])).toEqual([['seldon.default.model.c.inputs', 'mine']])
  scene.answer(scene.asked()[0] as IncomingRecord)
  await settled()
  expect(scene.outputs().map(({ key, value }) => [key, valuesOf(decodeResponse(value).outputs)])).toEqual([
    ['mine', [['C', [1]]]],
  ])
  // The same again is a double of a request that ended.
  scene.deliver(scene.put('seldon.default.model.b.outputs', 'mine', encodedResponse('B'), [['pipeline', 'p']]))
  expect(scene.asked()).toEqual([])
})

test('an answer that somebody else gave stands in the place of the model, which is not asked; the edge is recorded', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS })
  await scene.start()
  scene.deliver(scene.put('seldon.default.model.a.outputs', '0.p.r', encodedResponse('Z'), [['pipeline', 'p']]))
  scene.ask('0.p.r', encoded(X))
  expect(scene.asked().map(({ topic }) => topic)).toEqual(['seldon.default.model.b.inputs'])
  const [edge] = scene.recordsOf('seldon.default.model.a.inputs')
  expect(headerOf(edge?.headers ?? [], 'x-millrace-runner')).toBe('direct')
})

test('a record of a step that nobody can read is an error of the step, and fails the request that waits for it', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS })
  await scene.start()
  scene.ask('0.p.r', encoded(X))
  scene.deliver(scene.put('seldon.default.model.a.outputs', '0.p.r', Buffer.from([1, 2]), [['pipeline', 'p']]))
  await settled()
  const [error] = scene.errors()
  expect(error?.value.toString()).toMatch(/^a : the record is neither/)
  scene.deliver(error as IncomingRecord)
  await settled()
  expect(scene.outputs().map(({ value }) => value.toString())).toEqual([expect.stringMatching(/^a : /)])
})

test('nothing comes: at the deadline the result is an error that says what was waited for, also among the errors', async () => {
  const scene = topicsScene(heldPlan('p', { ...CHAIN, timeoutMs: 30 }), { models: LETTERS })
  await scene.start()
  const input = scene.ask('0.p.r', encoded(X))
  await expect.poll(() => scene.done.has(input)).toBe(true)
  for (const [only, ...others] of [scene.errors(), scene.outputs()]) {
    expect(only?.value.toString()).toMatch(/^p : pipeline p gave no answer within 30 ms: step a has not answered/)
    expect(others).toEqual([])
  }
  // Its answer comes too late, and begins nothing.
  scene.answer(scene.asked()[0] as IncomingRecord)
  expect(scene.asked()).toEqual([])
})

test("a gateway's request has the time that it had when it was written", async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS })
  await scene.start()
  const headers = [
    ['x-millrace-runner', 'topics'],
    ['x-millrace-gateway', 'g/1'],
    ['x-request-timeout-ms', '2'],
  ] as const
  for (let later = 0; later < 5; later += 1) scene.put('other', '', Buffer.alloc(0))
  const record = scene.put('seldon.default.pipeline.p.inputs', '0.p.r', encoded(X), headers)
  for (let later = 0; later < 5; later += 1) scene.put('other', '', Buffer.alloc(0))
  await scene.kill()
  await expect.poll(() => scene.done.has(record)).toBe(true)
  expect(scene.asked()).toEqual([])
  expect(scene.outputs()[0]?.value.toString()).toMatch(/within 2 ms/)
})

test('data beyond the bound ends the request that brings it, with an error that names the bound', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS, maxBytes: 10 })
  await scene.start()
  scene.ask('0.p.r', encoded(X))
  await settled()
  expect(scene.outputs()[0]?.value.toString()).toMatch(/--max-topics-bytes 10/)
  expect(scene.asked()).toEqual([])
})

test('so many run at once: a request waits, what is put on a step is refused', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: LETTERS, maxRequests: 1 })
  await scene.start()
  scene.ask('0.p.r', encoded(X))
  scene.ask('0.p.s', encoded(X))
  await settled()
  expect(scene.asked().map(({ key }) => key)).toEqual(['0.p.r'])
  scene.deliver(scene.put('seldon.default.model.b.outputs', 'mine', encodedResponse('B'), [['pipeline', 'p']]))
  await settled()
  expect(scene.outputs().map(({ key, value }) => [key, value.toString()])).toEqual([
    ['mine', expect.stringContaining('--max-topics-requests')],
  ])
  for (let asked = scene.asked(); asked.length > 0; asked = scene.asked()) {
    scene.answer(asked[0] as IncomingRecord)
    await settled()
  }
  expect(scene.outputs().map(({ key }) => key)).toEqual(['mine', '0.p.r', '0.p.s'])
})

test('another version serves: what runs keeps its own, which is read until it has ended', async () => {
  const scene = topicsScene(heldPlan('p', CHAIN), { models: { ...LETTERS } })
  await scene.start()
  scene.ask('0.p.old', encoded(X))
  const next = over({ steps: [{ name: 'd' }], output: { steps: ['d'] } })
  scene.serve(heldPlan('p', next, 2))
  await settled()
  scene.ask('0.p.new', encoded(X))
  const stepsRead = () => scene.topicsRead().filter((topic) => topic.includes('.model.'))
  expect(stepsRead()).toEqual(['a', 'b', 'c', 'd'].map((step) => `seldon.default.model.${step}.outputs`))
  for (const step of ['a', 'b', 'c', 'd'])
    for (const record of scene.recordsOf(`seldon.default.model.${step}.inputs`)) scene.answer(record)
  await settled()
  expect(scene.outputs().map(({ key, headers }) => [key, headerOf(headers, 'x-pipeline-version')])).toEqual([
    ['0.p.old', '1'],
    ['0.p.new', '2'],
  ])
  expect(stepsRead()).toEqual(['seldon.default.model.d.outputs'])
})

test('a pipeline without an output is done when its steps have come to rest', async () => {
  const scene = topicsScene(heldPlan('p', over({ steps: [{ name: 'a' }, { name: 'b' }] })), { models: LETTERS })
  await scene.start()
  const input = scene.ask('0.p.r', encoded(requestOf('x')))
  for (const record of scene.asked()) {
    expect(scene.done.has(input)).toBe(false)
    scene.answer(record)
  }
  await settled()
  expect([scene.done.has(input), scene.outputs()]).toEqual([true, []])
})
