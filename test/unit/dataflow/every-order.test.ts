import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { type Case, checkEveryOrder } from './orders.ts'
import type { Results } from './oracle.ts'

type StepSpec = PipelineSpec['steps'][number]
const JOINS = ['inner', 'outer', 'any'] as const

/** All lists of different elements in their order, of up to `most`. */
function choices<T>(elements: readonly T[], most: number): readonly (readonly T[])[] {
  return elements.reduce<readonly (readonly T[])[]>(
    (found, element) => [...found, ...found.filter(({ length }) => length < most).map((list) => [...list, element])],
    [[]],
  )
}

describe('every small plan, in every order', () => {
  const requests = [['x'], ['x', 'y']]
  const firstResults = [['t'], ['u'], 'fails'] as const
  const secondResults = [['t'], 'fails'] as const
  const seconds: readonly StepSpec[] = [
    ...choices(['p.inputs.y', 'a.outputs.t', 'a.inputs'], 3)
      .filter(({ length }) => length > 0)
      .flatMap((inputs) => JOINS.map((inputsJoinType) => ({ name: 'b', inputs, inputsJoinType }))),
    ...choices(['p.inputs.y', 'a.outputs.t', 'a.outputs.u'], 2)
      .filter(({ length }) => length > 0)
      .flatMap((triggers) =>
        JOINS.map((triggersJoinType) => ({ name: 'b', inputs: ['p.inputs.x'], triggers, triggersJoinType })),
      ),
  ]

  it.each(JOINS)('of two steps, whose outputs are joined by %s', { timeout: 60_000 }, (stepsJoin) => {
    let orders = 0
    for (const second of seconds)
      for (const steps of [['b'], ['a', 'b'], ['a.outputs.t', 'b.inputs']])
        for (const request of requests)
          for (const a of firstResults)
            for (const b of secondResults) {
              const spec = { steps: [{ name: 'a' }, second], output: { steps, stepsJoin } }
              orders += checkEveryOrder({ spec, request, results: { a, b } })
            }
    expect(orders).toBeGreaterThan(1000)
  })
})

/** A plan of up to four steps without loops, what its models give, and a request. */
const cases: fc.Arbitrary<Case> = fc.integer({ min: 1, max: 4 }).chain((size) => {
  const names = ['a', 'b', 'c', 'd'].slice(0, size)
  const refsBefore = (index: number) =>
    fc.oneof(
      fc.constantFrom('p', 'p.inputs.x', 'p.inputs.y'),
      ...names
        .slice(0, index)
        .map((name) => fc.constantFrom(name, `${name}.outputs.t`, `${name}.outputs.u`, `${name}.inputs`)),
    )
  const stepAt = (name: string, index: number): fc.Arbitrary<StepSpec> =>
    fc
      .record({
        name: fc.constant(name),
        inputs: fc.uniqueArray(refsBefore(index), { minLength: 1, maxLength: 3 }),
        triggers: fc.uniqueArray(refsBefore(index), { maxLength: 2 }),
        inputsJoinType: fc.constantFrom(...JOINS),
        triggersJoinType: fc.constantFrom(...JOINS),
      })
      // The same as both is refused; two inputs of steps may appear at once, so who is first is nobody's rule.
      .map((step) => ({ ...step, triggers: step.triggers.filter((text) => !isNamed(step.inputs, text)) }))
      .filter(({ inputs, inputsJoinType }) => inputsJoinType !== 'any' || countInputs(inputs) <= 1)
  const output = fc
    .record({
      steps: fc.uniqueArray(
        fc.constantFrom(...names.flatMap((name) => [name, `${name}.outputs.t`, `${name}.inputs`])),
        { minLength: 1, maxLength: 3 },
      ),
      stepsJoin: fc.constantFrom(...JOINS),
    })
    .filter(({ steps, stepsJoin }) => stepsJoin !== 'any' || countInputs(steps) <= 1)
  const result = fc.oneof(
    { weight: 6, arbitrary: fc.subarray(['t', 'u'], { minLength: 1 }) },
    { weight: 1, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.constant('fails' as const) },
  )
  return fc.record({
    spec: fc.record({ steps: fc.tuple(...names.map(stepAt)), output }),
    request: fc.subarray(['x', 'y'], { minLength: 1 }),
    results: fc
      .tuple(...names.map(() => result))
      .map((list): Results => Object.fromEntries(list.map((value, index) => [names[index] ?? '', value]))),
  })
})

const plain = (text: string) => (text === 'p' ? 'p.inputs' : text.includes('.') ? text : `${text}.outputs`)
const isNamed = (list: readonly string[], text: string) => list.some((other) => plain(other) === plain(text))
const countInputs = (list: readonly string[]) =>
  list.filter((text) => text.includes('.inputs') && !text.startsWith('p.')).length

it('any plan without loops does in every order what the rules say', { timeout: 60_000 }, () => {
  fc.assert(
    fc.property(cases, (given) => {
      expect(checkEveryOrder(given)).toBeGreaterThan(0)
    }),
    { numRuns: 250 },
  )
})
