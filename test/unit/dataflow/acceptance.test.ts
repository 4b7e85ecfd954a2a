/**
 * The synchronous cases of the reference's behaviour that concern selection, joins, conditionals, triggers and cycles, by
 * their numbers there, with the tensors expected. Cases that the design makes void stand with what replaces them.
 */
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { advance, start } from '../../../dataflow/executor/executor.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import { validatePipeline } from '../../../dataflow/plan/validate.ts'
import { validTensor } from '../oip/valid-tensor.ts'
import { add10, conditional, counter, COUNTING, EVEN, fp32, identity, int32, mul10, tfsimple } from './models.ts'
import { runPipeline, valuesOf } from './virtual-run.ts'

const both = [int32('INPUT0', COUNTING), int32('INPUT1', COUNTING)]
const simple = { tfsimple1: tfsimple, tfsimple2: tfsimple, tfsimple3: tfsimple }
const numbers = [1, 2, 3, 4]
const ten = [10, 20, 30, 40]
const more = [11, 12, 13, 14]

describe('selection and renaming', () => {
  it('27: a chain with both tensors renamed', () => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'tfsimple1' },
        {
          name: 'tfsimple2',
          inputs: ['tfsimple1'],
          tensorMap: { 'tfsimple1.outputs.OUTPUT0': 'INPUT0', 'tfsimple1.outputs.OUTPUT1': 'INPUT1' },
        },
      ],
      output: { steps: ['tfsimple2'] },
    }
    const { answer, sideFailures, records } = runPipeline(spec, both, { models: simple })
    expect(valuesOf(answer?.outputs)).toEqual([
      ['OUTPUT0', EVEN],
      ['OUTPUT1', EVEN],
    ])
    expect(answer).toMatchObject({ modelName: '', modelVersion: '' })
    expect(sideFailures).toEqual([])
    expect(records).toEqual([
      'p.inputs',
      'tfsimple1.inputs',
      'tfsimple1.outputs',
      'tfsimple2.inputs',
      'tfsimple2.outputs',
      'p.outputs',
    ])
  })

  it("28: one tensor of a step's inputs and one of its outputs are a join of two edges", () => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'tfsimple1' },
        {
          name: 'tfsimple2',
          inputs: ['tfsimple1.inputs.INPUT0', 'tfsimple1.outputs.OUTPUT1'],
          tensorMap: { 'tfsimple1.outputs.OUTPUT1': 'INPUT1' },
        },
      ],
      output: { steps: ['tfsimple2'] },
    }
    expect(valuesOf(runPipeline(spec, both, { models: simple }).answer?.outputs)).toEqual([
      ['OUTPUT0', COUNTING],
      ['OUTPUT1', COUNTING],
    ])
  })

  it.each([
    ['the left first', { tfsimple1: 1, tfsimple2: 5 }],
    ['the right first', { tfsimple1: 5, tfsimple2: 1 }],
  ])('29: a join gives the model exactly INPUT0 and INPUT1, in this order: %s', (_, latencyMs) => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'tfsimple1' },
        { name: 'tfsimple2' },
        {
          name: 'tfsimple3',
          inputs: ['tfsimple1.outputs.OUTPUT0', 'tfsimple2.outputs.OUTPUT1'],
          tensorMap: { 'tfsimple1.outputs.OUTPUT0': 'INPUT0', 'tfsimple2.outputs.OUTPUT1': 'INPUT1' },
        },
      ],
      output: { steps: ['tfsimple3'] },
    }
    const { answer, calls } = runPipeline(spec, both, { models: simple, latencyMs })
    expect(valuesOf(answer?.outputs)).toEqual([
      ['OUTPUT0', EVEN],
      ['OUTPUT1', EVEN],
    ])
    expect(calls[2]?.step).toBe('tfsimple3')
    expect(calls[2]?.request.inputs.map(({ name }) => name)).toEqual(['INPUT0', 'INPUT1'])
  })

  it('30: naming a tensor of an edge overrides naming the edge', () => {
    const spec: PipelineSpec = {
      steps: [{ name: 'tfsimple1' }],
      output: { steps: ['tfsimple1.outputs', 'tfsimple1.outputs.OUTPUT0'] },
    }
    expect(valuesOf(runPipeline(spec, both, { models: simple }).answer?.outputs)).toEqual([['OUTPUT0', EVEN]])
  })

  it('31: two tensors of one name are both answered, from left to right', () => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'mul10', inputs: ['p.inputs.INPUT0'], tensorMap: { 'p.inputs.INPUT0': 'INPUT' } },
        { name: 'add10', inputs: ['p.inputs.INPUT1'], tensorMap: { 'p.inputs.INPUT1': 'INPUT' } },
      ],
      output: { steps: ['mul10', 'add10'] },
    }
    const inputs = [fp32('INPUT0', numbers), fp32('INPUT1', numbers)]
    const { answer } = runPipeline(spec, inputs, { models: { mul10, add10 }, latencyMs: { mul10: 9 } })
    expect(valuesOf(answer?.outputs)).toEqual([
      ['OUTPUT', ten],
      ['OUTPUT', more],
    ])
  })

  it('32, 33: bytes are passed on by reference, whoever selects, renames or joins', () => {
    const [left, right] = [fp32('t0', numbers), validTensor('t1', 'FP16', [2], [1, 2])]
    const spec: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b', inputs: ['a.outputs.t1', 'p.inputs.t0'], tensorMap: { 'p.inputs.t0': 'x' } }],
      output: { steps: ['b'] },
    }
    const { answer, calls } = runPipeline(spec, [left, right], { models: { a: identity, b: identity } })
    expect(calls[1]?.request.inputs.map(({ name }) => name)).toEqual(['t1', 'x'])
    expect(answer?.outputs[0]).toBe(right)
    expect(answer?.outputs[1]?.bytes).toBe(left.bytes)
  })
})

describe('conditionals', () => {
  const spec: PipelineSpec = {
    steps: [
      { name: 'conditional' },
      { name: 'mul10', inputs: ['conditional.outputs.OUTPUT0'], tensorMap: { 'conditional.outputs.OUTPUT0': 'INPUT' } },
      { name: 'add10', inputs: ['conditional.outputs.OUTPUT1'], tensorMap: { 'conditional.outputs.OUTPUT1': 'INPUT' } },
    ],
    output: { steps: ['mul10', 'add10'], stepsJoin: 'any' },
  }
  it.each([
    [0, ten, ['conditional', 'mul10'], 'add10.inputs'],
    [1, more, ['conditional', 'add10'], 'mul10.inputs'],
  ])('34: CHOICE %i', (choice, values, steps, untouched) => {
    const inputs = [int32('CHOICE', [choice]), fp32('INPUT0', numbers), fp32('INPUT1', numbers)]
    const { answer, calls, records } = runPipeline(spec, inputs, { models: { conditional, mul10, add10 } })
    expect(valuesOf(answer?.outputs)).toEqual([['OUTPUT', values]])
    expect(calls.map(({ step }) => step)).toEqual(steps)
    expect(records.filter((record) => record === 'p.outputs')).toHaveLength(1)
    expect(records).not.toContain(untouched)
  })

  it('35: a response with none of the tensors that are taken goes nowhere, and the request fails at once', () => {
    const models = { conditional: () => [int32('OTHER', [1])], mul10, add10 }
    const { failure, endedAtMs, calls } = runPipeline(spec, [int32('CHOICE', [0])], { models })
    expect(failure).toEqual({
      kind: 'noOutput',
      message:
        'nothing can reach the output of pipeline p any more: conditional.outputs came without OUTPUT0 for step mul10; ' +
        'conditional.outputs came without OUTPUT1 for step add10',
    })
    expect(endedAtMs).toBe(1)
    expect(calls.map(({ step }) => step)).toEqual(['conditional'])
  })
})

describe('joins, by the clock and once; the reference joins by event time', () => {
  const joined = (stepsJoin: 'inner' | 'outer' | 'any', joinWindowMs?: number): PipelineSpec => ({
    steps: [
      { name: 'a', inputs: ['p'] },
      { name: 'b', inputs: ['p'] },
    ],
    output: { steps: ['a', 'b'], stepsJoin, ...(joinWindowMs === undefined ? {} : { joinWindowMs }) },
  })
  const models = { a: () => [int32('A', [1])], b: () => [int32('B', [2])] }
  const x = [int32('x', [0])]
  const outcome = (spec: PipelineSpec, a: number, b: number) => {
    const { answer, failure, endedAtMs } = runPipeline(spec, x, { models, latencyMs: { a, b } })
    return { names: answer?.outputs.map(({ name }) => name), failure, endedAtMs }
  }

  it('36: inner joins what comes within its window, the last millisecond included', () => {
    expect(outcome(joined('inner', 1000), 100, 1100)).toEqual({
      names: ['A', 'B'],
      failure: undefined,
      endedAtMs: 1100,
    })
  })

  it('36: inner fails as soon as its window is over; the reference never joins, and never says so', () => {
    expect(outcome(joined('inner', 1000), 100, 1101)).toEqual({
      names: undefined,
      endedAtMs: 1101,
      failure: {
        kind: 'noOutput',
        message:
          "nothing can reach the output of pipeline p any more: a.outputs and b.outputs did not come within 1000 ms of each other for the pipeline's output",
      },
    })
  })

  it('36: inner without a window waits until the deadline', () => {
    expect(outcome(joined('inner'), 100, 59_999)).toEqual({ names: ['A', 'B'], failure: undefined, endedAtMs: 59_999 })
  })

  it('37: outer with one input missing answers when its window ends; the reference waits for another record', () => {
    expect(outcome(joined('outer', 1000), 100, 5000)).toEqual({ names: ['A'], failure: undefined, endedAtMs: 1100 })
  })

  it('37: outer with everything answers at once; with the last millisecond of the window too', () => {
    expect(outcome(joined('outer', 1000), 100, 200)).toEqual({ names: ['A', 'B'], failure: undefined, endedAtMs: 200 })
    expect(outcome(joined('outer', 1000), 1099, 100)).toEqual({
      names: ['A', 'B'],
      failure: undefined,
      endedAtMs: 1099,
    })
  })

  it('38: outer answers once; what comes later changes nothing', () => {
    expect(outcome(joined('outer', 1000), 1600, 100)).toEqual({ names: ['B'], failure: undefined, endedAtMs: 1100 })
  })

  it('39: any answers once, with the first', () => {
    expect(outcome(joined('any'), 100, 150)).toEqual({ names: ['A'], failure: undefined, endedAtMs: 100 })
    expect(outcome(joined('any'), 201, 200)).toEqual({ names: ['B'], failure: undefined, endedAtMs: 200 })
  })

  it('40: an input that comes twice is joined once: see arrivals.test.ts, a request alone has no duplicates', () => {
    const { calls } = runPipeline(
      { steps: [{ name: 'a', inputs: ['p', 'p.inputs'] }], output: { steps: ['a', 'a'] } },
      x,
      {
        models,
      },
    )
    expect(calls).toHaveLength(1)
  })

  it('an outer window that would reach the deadline leaves half of the time to what follows', () => {
    expect(outcome({ ...joined('outer'), timeoutMs: 1000 }, 100, 5000)).toMatchObject({ names: ['A'], endedAtMs: 550 })
    expect(outcome({ ...joined('outer', 900), timeoutMs: 1000 }, 100, 5000)).toMatchObject({ endedAtMs: 550 })
    expect(outcome({ ...joined('outer', 899), timeoutMs: 1000 }, 100, 5000)).toMatchObject({ endedAtMs: 999 })
  })
})

describe('triggers', () => {
  const spec: PipelineSpec = {
    steps: [
      {
        name: 'mul10',
        inputs: ['p.inputs.INPUT'],
        triggers: ['p.inputs.ok1', 'p.inputs.ok2'],
        triggersJoinType: 'any',
      },
      { name: 'add10', inputs: ['p.inputs.INPUT'], triggers: ['p.inputs.ok3'] },
    ],
    output: { steps: ['mul10', 'add10'], stepsJoin: 'any' },
  }
  const run = (...names: string[]) =>
    runPipeline(spec, [fp32('INPUT', numbers), ...names.map((name) => int32(name, [1]))], { models: { mul10, add10 } })

  it.each([
    [['ok1'], ten, ['mul10']],
    [['ok2'], ten, ['mul10']],
    [['ok1', 'ok2'], ten, ['mul10']],
    [['ok3'], more, ['add10']],
  ])('41, 44: %j runs the step once', (names, values, steps) => {
    const { answer, calls } = run(...names)
    expect(valuesOf(answer?.outputs)).toEqual([['OUTPUT', values]])
    expect(calls.map(({ step }) => step)).toEqual(steps)
  })

  it('41: without a trigger nothing runs, and the request fails at once, naming them; the reference hangs', () => {
    const { failure, endedAtMs, calls } = run()
    expect(calls).toEqual([])
    expect(endedAtMs).toBe(0)
    expect(failure).toEqual({
      kind: 'noOutput',
      message:
        'nothing can reach the output of pipeline p any more: p.inputs came without ok1 for step mul10; ' +
        'p.inputs came without ok2 for step mul10; p.inputs came without ok3 for step add10',
    })
  })

  it('a trigger whose step takes too long ends at the deadline, naming what was waited for', () => {
    const late: PipelineSpec = {
      steps: [{ name: 'a' }, { name: 'b', inputs: ['p'], triggers: ['a'] }],
      output: { steps: ['b'] },
      timeoutMs: 500,
    }
    const models = { a: identity, b: identity }
    const { failure, endedAtMs, cancelled } = runPipeline(late, both, { models, latencyMs: { a: 600 } })
    expect(failure).toEqual({
      kind: 'deadline',
      message: 'pipeline p gave no answer within 500 ms: step a has not answered',
    })
    expect([endedAtMs, cancelled]).toEqual([500, ['a']])
  })

  it('42: a check without its tensor keeps the step from running', () => {
    const check: PipelineSpec = {
      steps: [
        { name: 'tfsimple1' },
        { name: 'check' },
        {
          name: 'tfsimple3',
          inputs: ['tfsimple1'],
          tensorMap: { 'tfsimple1.outputs.OUTPUT0': 'INPUT0', 'tfsimple1.outputs.OUTPUT1': 'INPUT1' },
          triggers: ['check.outputs.OUTPUT'],
        },
      ],
      output: { steps: ['tfsimple3'] },
    }
    const checking = (name: string) => ({ ...simple, check: () => [int32(name, [1])] })
    expect(runPipeline(check, both, { models: checking('NO') }).calls.map(({ step }) => step)).toEqual([
      'tfsimple1',
      'check',
    ])
    const { answer, calls } = runPipeline(check, both, { models: checking('OUTPUT') })
    expect(valuesOf(answer?.outputs)).toEqual([
      ['OUTPUT0', EVEN],
      ['OUTPUT1', EVEN],
    ])
    // 43: its tensor is not in the model's input
    expect(calls[2]?.request.inputs.map(({ name }) => name)).toEqual(['INPUT0', 'INPUT1'])
  })

  it('44: several triggers at different times run the step once', () => {
    const several: PipelineSpec = {
      steps: [
        { name: 't1', inputs: ['p'] },
        { name: 't2', inputs: ['p'] },
        { name: 'm', inputs: ['p'], triggers: ['t1', 't2'], triggersJoinType: 'any' },
      ],
      output: { steps: ['m'] },
    }
    const models = { t1: identity, t2: identity, m: identity }
    const { calls, finishedAtMs } = runPipeline(several, both, { models, latencyMs: { t1: 10, t2: 20, m: 30 } })
    expect(calls.map(({ step, atMs }) => [step, atMs])).toEqual([
      ['t1', 0],
      ['t2', 0],
      ['m', 10],
    ])
    expect(finishedAtMs).toBe(40)
  })

  it('several tensors of one edge as inner triggers must all be there; the reference runs with any of them', () => {
    const all: PipelineSpec = {
      steps: [{ name: 'm', inputs: ['p.inputs.x'], triggers: ['p.inputs.ok1', 'p.inputs.ok2'] }],
      output: { steps: ['m'] },
    }
    const names = (...list: string[]) =>
      runPipeline(
        all,
        list.map((name) => int32(name, [1])),
        { models: { m: identity } },
      ).answer?.outputs.map((t) => t.name)
    expect(names('x', 'ok1', 'ok2')).toEqual(['x'])
    expect(names('x', 'ok1')).toBeUndefined()
  })
})

describe('cycles', () => {
  const loop = (maxStepRevisits: number): PipelineSpec => ({
    steps: [
      { name: 'counter', inputs: ['p.inputs.input', 'again.outputs.output'], inputsJoinType: 'any' },
      { name: 'again', inputs: ['counter.outputs.output'], triggers: ['counter.outputs.continue'], joinWindowMs: 1 },
      { name: 'leave', inputs: ['counter'], triggers: ['counter.outputs.stop'], joinWindowMs: 1 },
    ],
    output: { steps: ['leave'] },
    allowCycles: true,
    maxStepRevisits,
  })
  const models = { counter, again: identity, leave: identity }
  const zero = [int32('input', [0])]

  it('48: a counter runs from 0 to 10 and stops, in any of the latencies', () => {
    for (const latencyMs of [{}, { counter: 7 }, { again: 30, leave: 90 }, { counter: 0, again: 0, leave: 0 }]) {
      const { answer, calls } = runPipeline(loop(100), zero, { models, latencyMs })
      expect(valuesOf(answer?.outputs)).toEqual([
        ['output', [10]],
        ['stop', ['']],
      ])
      expect(calls.filter(({ step }) => step === 'counter')).toHaveLength(10)
      expect(calls.filter(({ step }) => step === 'leave')).toHaveLength(1)
    }
  })

  it('49: an endless loop runs its step maxStepRevisits + 1 times and then fails once', () => {
    const spec: PipelineSpec = {
      steps: [
        { name: 'a', inputs: ['p', 'b'], inputsJoinType: 'any' },
        { name: 'b', inputs: ['a'] },
        { name: 'c', inputs: ['b.outputs.never'] },
      ],
      output: { steps: ['c'] },
      allowCycles: true,
      maxStepRevisits: 2,
    }
    const { failure, calls } = runPipeline(spec, zero, { models: { a: identity, b: identity, c: identity } })
    expect(calls.filter(({ step }) => step === 'a')).toHaveLength(3)
    expect(failure).toEqual({
      kind: 'revisits',
      step: 'a',
      limit: 2,
      message: 'step a has run 3 times, which is all that maxStepRevisits 2 allows',
    })
  })

  it('50: a loop without allowCycles is a problem of the spec', () => {
    const { allowCycles: _, ...spec } = loop(2)
    expect(validatePipeline('p', spec).map(({ message }) => message)).toContain(
      'closes the cycle counter -> again -> counter: remove it, or set allowCycles and maxStepRevisits',
    )
    expect(() => compile('p', 1, spec)).toThrow('closes the cycle')
  })
})

describe('problems of a spec', () => {
  it('59: an unknown trigger step is named with the reference; the reference crashes', () => {
    expect(validatePipeline('p', { steps: [{ name: 'a', triggers: ['gone.outputs.ok'] }] })).toEqual([
      {
        path: 'spec.steps[0].triggers[0]',
        message: '"gone.outputs.ok": no step of this pipeline is called "gone"; there are a',
      },
    ])
  })
})

describe('batches of single requests: nobody waits for others in the executor, and steps share nothing', () => {
  const spec: PipelineSpec = {
    steps: [
      { name: 'a', batch: { size: 3 } },
      { name: 'b', batch: { size: 2 } },
    ],
    output: { steps: ['a', 'b'] },
  }
  it.each([
    ['45: three requests of one row get an answer each', ['1', '2', '3'], [12.5]],
    ['46, 47: requests of two rows keep their own rows and ids', ['4', '5'], [1, 2]],
  ])('%s', (_, ids, rows) => {
    for (const id of ids) {
      const { answer, calls } = runPipeline(spec, [fp32('x', rows)], {
        models: { a: identity, b: identity },
        request: { id },
      })
      expect(answer?.id).toBe(id)
      // 58: two steps with batches share nothing
      expect(calls.map(({ step, request }) => [step, request.id, valuesOf(request.inputs)])).toEqual([
        ['a', id, [['x', rows]]],
        ['b', id, [['x', rows]]],
      ])
    }
  })
})

it('57: an outer join that is released by its window keeps the id and parameters of its own request', () => {
  const spec: PipelineSpec = {
    steps: [{ name: 'a' }, { name: 'b' }],
    output: { steps: ['a', 'b'], stepsJoin: 'outer', joinWindowMs: 100 },
  }
  const { answer, endedAtMs } = runPipeline(spec, [fp32('x', numbers)], {
    models: { a: identity, b: identity },
    latencyMs: { a: 5000 },
    request: { id: 'mine', parameters: { tenant: 'blue' } },
  })
  expect([answer?.id, answer?.parameters, endedAtMs]).toEqual(['mine', { tenant: 'blue' }, 101])
})

/**
 * Not of one synchronous request: 51, 52 and 56 (pipelines that take from others; what the state machine does with such data is
 * in arrivals.test.ts), 53 to 55 (operations). Void: 6 and 7 (there are no consumer groups per pipeline). 13 and 14 are in
 * test/unit/oip/forms.test.ts, 18 and 20 are the pipeline gateway's.
 */
it('52: only what its external trigger is present for flows on', () => {
  const plan = compile('p', 1, {
    steps: [{ name: 'a' }],
    input: { externalInputs: ['q.outputs'], externalTriggers: ['q.step.check.outputs.ok'] },
    output: { steps: ['a'] },
  })
  const edgeOf = (name: string) => plan.edges.findIndex((edge) => edge.name === name)
  const feed = (check: string) => {
    const outputs = (name: string) => ({
      kind: 'response' as const,
      response: { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: [int32(name, [1])] },
    })
    const begun = start(plan, { nowMs: 0, deadlineMs: 1000, isOpen: true })
    const first = { kind: 'arrived', edge: edgeOf('q.outputs'), visit: [], message: outputs('y'), nowMs: 1 } as const
    const second = { ...first, edge: edgeOf('q.step.check.outputs'), message: outputs(check) }
    return advance(plan, advance(plan, begun.state, first).state, second).effects.map(({ kind }) => kind)
  }
  expect(feed('ok')).toEqual(['record', 'record', 'call'])
  expect(feed('no')).toEqual([])
})
