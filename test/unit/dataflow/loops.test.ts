/** Loops: what belongs to the same turn meets, what does not does not, and how much is remembered. */
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { decodeElements } from '../../../api/oip/elements.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import { firstVisit } from '../../../dataflow/executor/visit.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import { identity, int32 } from './models.ts'
import { type Model, runPipeline, valuesOf } from './virtual-run.ts'

type StepSpec = PipelineSpec['steps'][number]
const looping = (steps: readonly StepSpec[], output: readonly string[], join?: 'any' | 'outer'): PipelineSpec => ({
  steps,
  output: { steps: output, ...(join === undefined ? {} : { stepsJoin: join }) },
  allowCycles: true,
  maxStepRevisits: 200,
})
const valueOf = (inputs: readonly Tensor[], name: string) =>
  Number(decodeElements(inputs.find((input) => input.name === name) ?? int32('', [NaN]))[0])
/** Adds one to `n` and says whether it is below the limit. */
const countTo =
  (limit: number): Model =>
  (inputs) => {
    const n = valueOf(inputs, 'n') + 1
    return [int32('n', [n]), int32(n < limit ? 'more' : 'done', [1])]
  }
const n = (value: number) => int32('n', [value])
const body = { name: 'back', inputs: ['count.outputs.n'], triggers: ['count.outputs.more'] }
const head = { name: 'count', inputs: ['p.inputs.n', 'back.outputs.n'], inputsJoinType: 'any' } as const
const models = { count: countTo(5), back: identity, leave: identity, pair: identity, left: identity, right: identity }

describe('what belongs to the same turn meets', () => {
  it('however far the branches of a loop are apart', () => {
    // left and right of one turn are joined into the next turn; each turn's two values are equal
    const spec = looping(
      [
        { name: 'count', inputs: ['p.inputs.n', 'pair.outputs.n'], inputsJoinType: 'any' },
        { name: 'left', inputs: ['count.outputs.n'], triggers: ['count.outputs.more'] },
        { name: 'right', inputs: ['count.outputs.n'], tensorMap: { 'count.outputs.n': 'm' } },
        { name: 'pair', inputs: ['left', 'right'] },
        { name: 'leave', inputs: ['count'], triggers: ['count.outputs.done'] },
      ],
      ['leave'],
    )
    for (const latencyMs of [{ left: 50 }, { right: 50 }, { left: 3, right: 2, pair: 1 }]) {
      const { answer, calls } = runPipeline(spec, [n(0)], { models, latencyMs })
      expect(valuesOf(answer?.outputs)[0]).toEqual(['n', [5]])
      const pairs = calls.flatMap(({ step, request }) => (step === 'pair' ? [request.inputs] : []))
      expect(pairs.map((inputs) => [valueOf(inputs, 'n'), valueOf(inputs, 'm')])).toEqual([
        [1, 1],
        [2, 2],
        [3, 3],
        [4, 4],
      ])
    }
  })

  it('behind the loop too: branches that leave it in every turn join turn by turn', () => {
    const spec = looping(
      [
        head,
        body,
        { name: 'left', inputs: ['count.outputs.n'] },
        { name: 'right', inputs: ['count.outputs.n'], tensorMap: { 'count.outputs.n': 'm' } },
        { name: 'pair', inputs: ['left', 'right'] },
        { name: 'leave', inputs: ['count'], triggers: ['count.outputs.done', 'pair'] },
      ],
      ['leave'],
    )
    const { answer, calls } = runPipeline(spec, [n(0)], { models, latencyMs: { left: 7, right: 1 } })
    expect(valuesOf(answer?.outputs)[0]).toEqual(['n', [5]])
    const pairs = calls.flatMap(({ step, request }) => (step === 'pair' ? [request.inputs] : []))
    expect(pairs.map((inputs) => [valueOf(inputs, 'n'), valueOf(inputs, 'm')])).toEqual(
      [1, 2, 3, 4, 5].map((turn) => [turn, turn]),
    )
  })

  it('what comes from outside of the loop belongs to every turn', () => {
    const spec = looping(
      [
        head,
        { ...body, inputs: ['count.outputs.n', 'p.inputs.constant'] },
        { ...body, name: 'leave', triggers: ['count.outputs.done'] },
      ],
      ['leave'],
    )
    const { answer, calls } = runPipeline(spec, [n(0), int32('constant', [7])], { models })
    expect(valuesOf(answer?.outputs)).toEqual([['n', [5]]])
    const inLoop = calls.flatMap(({ step, request }) => (step === 'back' ? [valueOf(request.inputs, 'constant')] : []))
    expect(inLoop).toEqual([7, 7, 7, 7])
  })

  it('a trigger from a loop runs a step again with the data from outside', () => {
    const spec = looping(
      [
        { name: 'count', inputs: ['p.inputs.n'], triggers: ['back'], triggersJoinType: 'any' },
        { name: 'back', inputs: ['p.inputs.start', 'count.outputs.more'], inputsJoinType: 'any' },
      ],
      ['count.outputs.done'],
    )
    let runs = 0
    const third: Model = () => [int32((runs += 1) < 3 ? 'more' : 'done', [runs])]
    const { answer } = runPipeline(spec, [n(0), int32('start', [1])], { models: { ...models, count: third } })
    expect(valuesOf(answer?.outputs)).toEqual([['done', [3]]])
  })
})

describe('joins of one turn happen once', () => {
  it('any behind a loop takes the first and nothing after it', () => {
    const spec = looping(
      [
        head,
        body,
        { name: 'leave', inputs: ['p.inputs.other', 'count.outputs.done'], inputsJoinType: 'any' },
        { name: 'pair', inputs: ['count.outputs.done', 'leave'] },
      ],
      ['pair'],
    )
    const { calls, answer } = runPipeline(spec, [n(0), int32('other', [1])], { models })
    expect(calls.filter(({ step }) => step === 'leave')).toHaveLength(1)
    expect(answer?.outputs.map(({ name }) => name)).toEqual(['done', 'other'])
  })

  it('outer in a loop answers each turn', () => {
    const spec = looping(
      [
        head,
        { ...body, inputs: ['count.outputs.n', 'p.inputs.never'], inputsJoinType: 'outer', joinWindowMs: 10 },
        { ...body, name: 'leave', triggers: ['count.outputs.done'] },
      ],
      ['leave'],
    )
    const { answer, endedAtMs } = runPipeline(spec, [n(0)], { models })
    expect(valuesOf(answer?.outputs)).toEqual([['n', [5]]])
    expect(endedAtMs).toBe(5 * 1 + 4 * (10 + 1) + 1)
  })
})

describe('loops in loops and beside loops', () => {
  it('an inner loop begins anew in every turn of the outer one', () => {
    // inner counts to 2 in each turn of outer, outer to 3
    const spec = looping(
      [
        { name: 'outer', inputs: ['p.inputs.n', 'outer-back.outputs.n'], inputsJoinType: 'any' },
        { name: 'inner', inputs: ['outer.outputs.k', 'inner-back.outputs.k'], inputsJoinType: 'any' },
        { name: 'inner-back', inputs: ['inner.outputs.k'], triggers: ['inner.outputs.more'] },
        // joins what left the inner loop with what went around it, of the same outer turn
        { name: 'outer-back', inputs: ['inner.outputs.done', 'outer.outputs.n'], triggers: ['outer.outputs.more'] },
        { name: 'leave', inputs: ['outer.outputs.n'], triggers: ['outer.outputs.done', 'inner.outputs.done'] },
      ],
      ['leave'],
    )
    const nested: Readonly<Record<string, Model>> = {
      outer: (inputs) => [
        ...(countTo(3)(inputs, { id: '', parameters: {}, inputs, outputs: [] }) as Tensor[]),
        int32('k', [0]),
      ],
      inner: (inputs) => {
        const k = valueOf(inputs, 'k') + 1
        return [int32('k', [k]), int32(k < 2 ? 'more' : 'done', [1])]
      },
      'inner-back': identity,
      'outer-back': identity,
      leave: identity,
    }
    for (const latencyMs of [{}, { 'inner-back': 20 }, { outer: 9, leave: 4 }]) {
      const { answer, calls, failure } = runPipeline(spec, [n(0)], { models: nested, latencyMs })
      expect(failure).toBeUndefined()
      expect(valuesOf(answer?.outputs)).toEqual([['n', [3]]])
      const count = (step: string) => calls.filter((call) => call.step === step).length
      expect([count('outer'), count('inner'), count('inner-back'), count('outer-back')]).toEqual([3, 6, 3, 2])
    }
  })

  it('two loops beside each other end in one join', () => {
    const one = (name: string): readonly StepSpec[] => [
      { name, inputs: ['p.inputs.n', `${name}-back.outputs.n`], inputsJoinType: 'any' },
      { name: `${name}-back`, inputs: [`${name}.outputs.n`], triggers: [`${name}.outputs.more`] },
      { name: `${name}-leave`, inputs: [`${name}.outputs.n`], triggers: [`${name}.outputs.done`] },
    ]
    const table = {
      a: countTo(3),
      'a-back': identity,
      'a-leave': identity,
      b: countTo(6),
      'b-back': identity,
      'b-leave': identity,
    }
    const { answer } = runPipeline(looping([...one('a'), ...one('b')], ['a-leave', 'b-leave']), [n(0)], {
      models: table,
    })
    expect(valuesOf(answer?.outputs)).toEqual([
      ['n', [3]],
      ['n', [6]],
    ])
  })

  it('a step that leads to itself is a loop', () => {
    const spec = looping(
      [
        {
          name: 'count',
          inputs: ['p.inputs.n', 'count.outputs.next'],
          inputsJoinType: 'any',
          tensorMap: { 'count.outputs.next': 'n' },
        },
      ],
      ['count.outputs.n'],
    )
    const upTo: Model = (inputs) => {
      const value = valueOf(inputs, 'n') + 1
      return [int32(value < 4 ? 'next' : 'n', [value])]
    }
    expect(valuesOf(runPipeline(spec, [n(0)], { models: { count: upTo } }).answer?.outputs)).toEqual([['n', [4]]])
  })
})

describe('the end of a loop', () => {
  it('that nobody leaves fails as soon as it stands still, naming what was missing', () => {
    const spec = looping([head, body, { name: 'leave', inputs: ['count.outputs.never'] }], ['leave'])
    const { failure, calls } = runPipeline(spec, [n(0)], { models })
    expect(calls.filter(({ step }) => step === 'count')).toHaveLength(5)
    expect(failure).toMatchObject({ kind: 'noOutput' })
    expect(failure?.kind === 'noOutput' && failure.message).toContain('count.outputs came without never for step leave')
  })

  it('after the answer what was called finishes, and no step is called again', () => {
    const spec = looping([head, body], ['count.outputs.n'])
    const { calls, answer, finishedAtMs } = runPipeline(spec, [n(0)], { models })
    expect(valuesOf(answer?.outputs)).toEqual([['n', [1]]])
    expect([calls.map(({ step }) => step), finishedAtMs]).toEqual([['count', 'back'], 2])
  })
})

describe('memory', () => {
  it('of a loop holds the tensors of its last turn, not of all', () => {
    const spec = looping([head, body, { ...body, name: 'leave', triggers: ['count.outputs.done'] }], ['leave'])
    const held: number[] = []
    const spy: Model = (inputs) => countTo(150)(inputs, { id: '', parameters: {}, inputs, outputs: [] })
    const watch = Array.from(
      { length: 290 },
      (_, ms) =>
        [
          ms + 0.5,
          (run: { readonly state: { readonly nodes: unknown } }) => {
            held.push(JSON.stringify(run.state.nodes).split('"bytes"').length - 1)
            return { kind: 'timer', timer: -1, nowMs: ms + 0.5 } as const
          },
        ] as const,
    )
    const { answer } = runPipeline(spec, [n(0)], { models: { ...models, count: spy }, also: watch })
    expect(valuesOf(answer?.outputs)).toEqual([['n', [150]]])
    expect(Math.max(...held)).toBeLessThanOrEqual(2)
  })
})

it('a plan counts each of its loops, and a visit begins outside of all', () => {
  expect(firstVisit(compile('p', 1, looping([head, body], ['count'])).loops)).toEqual([-1])
})
