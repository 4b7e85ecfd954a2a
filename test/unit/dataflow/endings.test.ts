/** How requests end: answers, failures, side branches, deadlines, callers that go away; and what is remembered meanwhile. */
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { advance, start } from '../../../dataflow/executor/executor.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import { identity, int32 } from './models.ts'
import { type Model, type RunOptions, runPipeline, valuesOf } from './virtual-run.ts'

const x = int32('x', [1])
const fails: Model = () => new Error('no')
const models = { a: identity, b: identity, c: identity, d: identity }
const run = (spec: PipelineSpec, options: Partial<RunOptions> = {}) => {
  const { calls, ...rest } = runPipeline(spec, [x], { models, ...options })
  return { ...rest, steps: calls.map(({ step, atMs }) => `${step}@${String(atMs)}`) }
}
const failure = (step: string) => ({ kind: 'step', step, cause: new Error('no') })

describe('side branches', () => {
  /** b and c hang on a; only a is answered. */
  const spec: PipelineSpec = {
    steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }, { name: 'c', inputs: ['b'] }],
    output: { steps: ['a'] },
  }

  it('finish after the answer', () => {
    const outcome = run(spec, { latencyMs: { a: 10, b: 20, c: 30 } })
    expect(outcome.steps).toEqual(['a@0', 'b@10', 'c@30'])
    expect([outcome.endedAtMs, outcome.finishedAtMs]).toEqual([10, 60])
    expect(outcome.records.slice(-2)).toEqual(['c.inputs', 'c.outputs'])
  })

  it('fail no request, and end there', () => {
    const outcome = run(spec, { models: { ...models, b: fails } })
    expect(outcome.answer?.outputs).toEqual([x])
    expect(outcome.failure).toBeUndefined()
    expect(outcome.sideFailures).toEqual([failure('b')])
    expect(outcome.steps).toEqual(['a@0', 'b@1'])
    expect(outcome.finishedAtMs).toBe(2)
  })

  it('that have begun finish although the request failed', () => {
    const beside: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b' }, { name: 'c', inputs: ['b'] }, { name: 'd' }],
      output: { steps: ['a', 'd'] },
    }
    const outcome = run(beside, { models: { ...models, a: fails }, latencyMs: { a: 5, b: 10, c: 10, d: 100 } })
    expect(outcome.failure).toEqual(failure('a'))
    expect([outcome.endedAtMs, outcome.finishedAtMs]).toEqual([5, 20])
    expect(outcome.steps).toEqual(['a@0', 'b@0', 'd@0', 'c@10'])
    expect(outcome.cancelled).toEqual(['d'])
  })

  it('end at the deadline', () => {
    const outcome = run(spec, { deadlineMs: 100, latencyMs: { b: 1000 } })
    expect([outcome.endedAtMs, outcome.finishedAtMs]).toEqual([1, 100])
    expect(outcome.cancelled).toEqual(['b'])
    expect(outcome.failure).toBeUndefined()
  })

  it('wait for their own windows after the answer', () => {
    const window: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b', inputs: ['a', 'p.inputs.never'], inputsJoinType: 'outer', joinWindowMs: 50 }],
      output: { steps: ['a'] },
    }
    const outcome = run(window)
    expect([outcome.steps, outcome.endedAtMs, outcome.finishedAtMs]).toEqual([['a@0', 'b@51'], 1, 52])
  })
})

describe('a failing step', () => {
  const joined: PipelineSpec = {
    steps: [{ name: 'a' }, { name: 'b' }],
    output: { steps: ['a', 'b'], stepsJoin: 'any' },
  }

  it('fails the request that still waits for it, whatever the join', () => {
    const outcome = run(joined, { models: { ...models, a: fails }, latencyMs: { b: 5 } })
    expect(outcome.failure).toEqual(failure('a'))
    expect([outcome.endedAtMs, outcome.cancelled]).toEqual([1, ['b']])
  })

  it('that came too late to matter fails nothing', () => {
    const spec: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b' }, { name: 'c', inputs: ['a', 'b'], inputsJoinType: 'any' }],
      output: { steps: ['c'] },
    }
    const outcome = run(spec, { models: { ...models, b: fails }, latencyMs: { b: 5, c: 10 } })
    expect(outcome.answer?.outputs).toEqual([x])
    expect(outcome.sideFailures).toEqual([failure('b')])
  })

  it('behind which nothing can run any more fails nothing either', () => {
    const spec: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b', inputs: ['a', 'p.inputs.never'] }, { name: 'c' }],
      output: { steps: ['b', 'c'], stepsJoin: 'any' },
    }
    const outcome = run(spec, { models: { ...models, a: fails }, latencyMs: { c: 5 } })
    expect(outcome.answer?.outputs).toEqual([x])
    expect(outcome.sideFailures).toEqual([failure('a')])
  })
})

describe('a pipeline that can give no output', () => {
  it('fails although a call still runs that could not help', () => {
    const spec: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b' }, { name: 'c', inputs: ['a.outputs.never', 'b'] }],
      output: { steps: ['c'] },
    }
    const outcome = run(spec, { latencyMs: { b: 1000 } })
    expect(outcome.failure).toEqual({
      kind: 'noOutput',
      message: 'nothing can reach the output of pipeline p any more: a.outputs came without never for step c',
    })
    expect([outcome.endedAtMs, outcome.cancelled]).toEqual([1, ['b']])
  })

  it('because a model gives nothing at all says so', () => {
    const outcome = run({ steps: [{ name: 'a' }], output: { steps: ['a'] } }, { models: { a: () => [] } })
    expect(outcome.failure).toMatchObject({
      message:
        "nothing can reach the output of pipeline p any more: a.outputs came without any tensor for the pipeline's output",
    })
  })
})

describe('a pipeline without output', () => {
  const spec: PipelineSpec = { steps: [{ name: 'a' }, { name: 'b' }] }
  it('is finished when all has come to rest, although a step failed', () => {
    const outcome = run(spec, { models: { ...models, a: fails }, latencyMs: { b: 7 } })
    expect([outcome.endedAtMs, outcome.finishedAtMs]).toEqual([undefined, 7])
    expect(outcome.sideFailures).toEqual([failure('a')])
  })

  it('fails at the deadline when a step has not answered', () => {
    const outcome = run(spec, { deadlineMs: 5, latencyMs: { b: 7 } })
    expect(outcome.failure).toEqual({
      kind: 'deadline',
      message: 'pipeline p gave no answer within 5 ms: step b has not answered',
    })
    expect([outcome.cancelled, outcome.finishedAtMs]).toEqual([['b'], 5])
  })
})

describe('a caller who goes away', () => {
  const spec: PipelineSpec = { steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }], output: { steps: ['a'] } }
  const cancelAt = (ms: number) => ({ also: [[ms, () => ({ kind: 'cancelled' as const, nowMs: ms })] as const] })

  it('before the answer ends everything without a word', () => {
    const outcome = run(spec, { latencyMs: { a: 10 }, ...cancelAt(5) })
    expect([outcome.answer, outcome.failure, outcome.cancelled, outcome.finishedAtMs]).toEqual([
      undefined,
      undefined,
      ['a'],
      5,
    ])
  })

  it('after the answer changes nothing', () => {
    const outcome = run(spec, { latencyMs: { b: 10 }, ...cancelAt(5) })
    expect([outcome.steps, outcome.cancelled, outcome.finishedAtMs]).toEqual([['a@0', 'b@1'], [], 11])
  })
})

describe('a step with a batch', () => {
  it('runs at once with the rows of its own request, which alone is a batch', () => {
    const spec: PipelineSpec = { steps: [{ name: 'a', batch: { size: 20, windowMs: 5 } }], output: { steps: ['a'] } }
    expect(run(spec).endedAtMs).toBe(1)
    expect(compile('p', 1, spec).nodes[0]?.batch).toEqual({ size: 20, windowMs: 5, rolling: false })
  })
})

describe('the state', () => {
  it('given in stays as it was', () => {
    const plan = compile('p', 1, {
      steps: [{ name: 'a' }, { name: 'b', inputs: ['a', 'p'], inputsJoinType: 'outer' }],
      output: { steps: ['b'] },
    })
    const first = start(plan, { input: { id: '', parameters: {}, inputs: [x], outputs: [] }, nowMs: 0, deadlineMs: 9 })
    const before = structuredClone(first.state)
    const outputs = [int32('y', [2])]
    const response = { modelName: 'a', modelVersion: '1', id: '', parameters: {}, outputs }
    const second = advance(plan, first.state, { kind: 'answered', call: 3, response, nowMs: 1 })
    const again = first.effects.flatMap((effect) => (effect.kind === 'call' ? [effect.call] : []))
    expect(again).toHaveLength(1)
    expect(second).toEqual(advance(plan, first.state, { kind: 'answered', call: 3, response, nowMs: 1 }))
    expect(first.state).toEqual(before)
    const answered = advance(plan, first.state, { kind: 'answered', call: again[0] ?? -1, response, nowMs: 1 })
    expect(
      answered.effects.flatMap((effect) => (effect.kind === 'call' ? valuesOf(effect.request.inputs) : [])),
    ).toEqual([
      ['y', [2]],
      ['x', [1]],
    ])
    expect(first.state).toEqual(before)
  })

  it('holds no tensor that has been used', () => {
    const outcome = run({
      steps: [{ name: 'a' }, { name: 'b', triggers: ['a'] }, { name: 'c', inputs: ['a', 'b'] }],
      output: { steps: ['c'] },
    })
    expect(JSON.stringify(outcome.run.state.nodes)).not.toContain('"bytes"')
  })
})
