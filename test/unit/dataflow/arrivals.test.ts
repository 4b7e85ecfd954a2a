/**
 * What a runner over topics, and recovery after a crash, need of the state machine: data of an edge may arrive from outside, in
 * any order, twice or never.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import { advance, type Run, start } from '../../../dataflow/executor/executor.ts'
import type { Effect, EdgeMessage, Visit } from '../../../dataflow/executor/types.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import type { Plan } from '../../../dataflow/plan/plan.ts'
import { counter, identity, int32 } from './models.ts'
import { type Model, runPlan, valuesOf } from './virtual-run.ts'

const DEADLINE_MS = 1000
const x = int32('x', [1])
const response = (outputs: readonly Tensor[]): EdgeMessage => ({
  kind: 'response',
  response: { modelName: 'm', modelVersion: '1', id: 'r', parameters: {}, outputs },
})
const request = (inputs: readonly Tensor[]): EdgeMessage => ({
  kind: 'request',
  request: { id: 'r', parameters: {}, inputs, outputs: [] },
})
const edgeOf = (plan: Plan, name: string) => plan.edges.findIndex((edge) => edge.name === name)
const arrived = (plan: Plan, run: Run, name: string, message: EdgeMessage, visit: Visit = []) =>
  advance(plan, run.state, { kind: 'arrived', edge: edgeOf(plan, name), visit, message, nowMs: 1 })
const begin = (plan: Plan, isOpen: boolean) => start(plan, { nowMs: 0, deadlineMs: DEADLINE_MS, isOpen })
const kinds = ({ effects }: Run) =>
  effects.map((effect) => (effect.kind === 'call' ? `call ${effect.step}` : effect.kind))

const chain: PipelineSpec = {
  steps: [{ name: 'a' }, { name: 'b', inputs: ['a.outputs.A', 'p.inputs.x'] }],
  output: { steps: ['b'] },
}
const diamond: PipelineSpec = {
  steps: [
    { name: 'a' },
    { name: 'b' },
    { name: 'c', inputs: ['a.outputs.A', 'b.outputs.B', 'b.inputs.x'], triggers: ['p.inputs.x'] },
  ],
  output: { steps: ['c', 'a.outputs'] },
}
const loop: PipelineSpec = {
  steps: [
    { name: 'a', inputs: ['p.inputs.x', 'b.outputs.output'], inputsJoinType: 'any' },
    { name: 'b', inputs: ['a.outputs.output'], triggers: ['a.outputs.continue'] },
    { name: 'c', inputs: ['a'], triggers: ['a.outputs.stop'] },
  ],
  output: { steps: ['c'] },
  allowCycles: true,
  maxStepRevisits: 20,
}
const give =
  (name: string): Model =>
  () => [int32(name, [name.charCodeAt(0)])]
const models: Readonly<Record<string, Model>> = { a: give('A'), b: give('B'), c: give('C') }
const loopModels = { a: counter, b: identity, c: identity }

/** Every record goes to a topic; what lies on topics is read in any order, some of it twice. Only topics call models. */
function runOverTopics(
  plan: Plan,
  inputs: readonly Tensor[],
  table: Readonly<Record<string, Model>>,
  picks: () => number,
) {
  interface TopicRecord {
    readonly edge: number
    readonly visit: Visit
    readonly message: EdgeMessage
  }
  const topics: TopicRecord[] = []
  const answers: Effect[] = []
  const put = (record: TopicRecord) => topics.push(...Array.from({ length: 1 + (picks() % 2) }, () => record))
  let run = begin(plan, true)
  put({ edge: plan.inputEdge, visit: Array.from({ length: plan.loops }, () => -1), message: request(inputs) })
  while (topics.length > 0) {
    const [record] = topics.splice(picks() % topics.length, 1)
    if (record === undefined) break
    callModel(record)
    run = advance(plan, run.state, { kind: 'arrived', ...record, nowMs: 1 })
    for (const effect of run.effects) {
      if (effect.kind === 'record') put(effect)
      if (effect.kind === 'answer' || effect.kind === 'fail') answers.push(effect)
    }
  }
  return answers

  /** The model gateway: one answer for each record, also for one that it reads twice. */
  function callModel({ edge, visit, message }: TopicRecord): void {
    const node = plan.nodes.find(({ into, kind }) => into === edge && kind === 'step')
    if (node?.answers === undefined || message.kind !== 'request') return
    const outputs = table[node.name]?.(message.request.inputs, message.request)
    if (Array.isArray(outputs)) put({ edge: node.answers, visit, message: response(outputs) })
  }
}

describe('a runner over topics', () => {
  it.each([
    ['a chain', chain, models],
    ['a diamond', diamond, models],
    ['a loop', loop, loopModels],
  ])('answers %s once and as the direct one does, whatever comes when and how often', (_, spec, table) => {
    const plan = compile('p', 1, spec)
    const direct = runPlan(plan, [x], { models: table })
    fc.assert(
      fc.property(fc.infiniteStream(fc.nat()), (picks) => {
        const answers = runOverTopics(plan, [x], table, () => picks.next().value ?? 0)
        expect(answers).toHaveLength(1)
        const [answer] = answers
        expect(answer?.kind === 'answer' && valuesOf(answer.response.outputs)).toEqual(valuesOf(direct.answer?.outputs))
      }),
    )
  })
})

describe('in an open world', () => {
  it('every order of arrival of every edge gives the one answer', () => {
    const plan = compile('p', 1, diamond)
    const messages: readonly (readonly [string, EdgeMessage])[] = [
      ['p.inputs', request([x])],
      ['a.outputs', response([int32('A', [65])])],
      ['b.inputs', request([x])],
      ['b.outputs', response([int32('B', [66])])],
      ['c.outputs', response([int32('C', [67])])],
    ]
    let orders = 0
    for (const order of permutations(messages)) {
      let run = begin(plan, true)
      const answers: Effect[] = []
      for (const [name, message] of [...order, ...order]) {
        run = arrived(plan, run, name, message)
        answers.push(...run.effects.filter(({ kind }) => kind === 'answer' || kind === 'fail'))
      }
      orders += 1
      expect(answers.map((effect) => effect.kind === 'answer' && valuesOf(effect.response.outputs))).toEqual([
        [
          ['C', [67]],
          ['A', [65]],
        ],
      ])
    }
    expect(orders).toBe(120)
  })

  it('a step is not called again whose input or answer somebody else has brought', () => {
    const plan = compile('p', 1, chain)
    const injected = arrived(plan, begin(plan, true), 'b.inputs', request([int32('other', [9])]))
    expect(kinds(injected)).toEqual([])
    const begun = arrived(plan, injected, 'p.inputs', request([x]))
    expect(kinds(begun)).toEqual(['record', 'call a'])
    const later = arrived(plan, begun, 'a.outputs', response([int32('A', [1])]))
    expect(kinds(later)).toEqual([])
    const done = arrived(plan, later, 'b.outputs', response([int32('B', [2])]))
    expect(kinds(done)).toEqual(['record', 'answer', 'finished'])
  })

  it('an answer from outside takes the place of a call in flight', () => {
    const plan = compile('p', 1, chain)
    const begun = start(plan, {
      input: { id: '', parameters: {}, inputs: [x], outputs: [] },
      nowMs: 0,
      deadlineMs: DEADLINE_MS,
      isOpen: true,
    })
    const replaced = arrived(plan, begun, 'a.outputs', response([int32('A', [7])]))
    expect(kinds(replaced)).toEqual(['record', 'call b'])
    const late = advance(plan, replaced.state, {
      kind: 'answered',
      call: begun.effects.flatMap((effect) => (effect.kind === 'call' ? [effect.call] : []))[0] ?? -1,
      response: { modelName: 'a', modelVersion: '', id: '', parameters: {}, outputs: [int32('A', [8])] },
      nowMs: 2,
    })
    expect(kinds(late)).toEqual([])
  })

  it('nothing is taken for impossible: what never comes ends at the deadline', () => {
    const plan = compile('p', 1, chain)
    const empty = arrived(plan, arrived(plan, begin(plan, true), 'p.inputs', request([x])), 'a.outputs', response([]))
    expect(kinds(empty)).toEqual([])
    const ended = advance(plan, empty.state, { kind: 'timer', timer: 0, nowMs: DEADLINE_MS })
    expect(ended.effects).toEqual([
      {
        kind: 'fail',
        failure: {
          kind: 'deadline',
          message:
            'pipeline p gave no answer within 1000 ms: step b waits for a.outputs.A; a.outputs came without A for step b',
        },
      },
      { kind: 'finished' },
    ])
  })

  it('an error record fails the request once, also when it comes before the data', () => {
    const plan = compile('p', 1, chain)
    const failed = advance(plan, begin(plan, true).state, {
      kind: 'arrivedFailure',
      node: plan.nodes.findIndex(({ name }) => name === 'a'),
      visit: [],
      cause: 'text',
      nowMs: 1,
    })
    expect(failed.effects).toEqual([
      { kind: 'fail', failure: { kind: 'step', step: 'a', cause: 'text' } },
      { kind: 'finished' },
    ])
    expect(kinds(arrived(plan, failed, 'p.inputs', request([x])))).toEqual([])
  })

  it('the answer may come from outside too', () => {
    const plan = compile('p', 1, chain)
    expect(kinds(arrived(plan, begin(plan, true), 'p.outputs', response([x])))).toEqual(['answer', 'finished'])
  })

  it('what no plan has is ignored', () => {
    const plan = compile('p', 1, chain)
    const run = begin(plan, true)
    for (const [edge, visit] of [
      [99, []],
      [0, [1]],
    ] as const)
      expect(advance(plan, run.state, { kind: 'arrived', edge, visit, message: request([x]), nowMs: 1 }).state).toEqual(
        {
          ...run.state,
          nowMs: 1,
        },
      )
  })
})

describe('recovery', () => {
  it('runs on from what was journaled: answers first, then the input', () => {
    const plan = compile('p', 1, diamond)
    const known = arrived(plan, begin(plan, false), 'a.outputs', response([int32('A', [65])]))
    expect(kinds(known)).toEqual([])
    const begun = arrived(plan, known, 'p.inputs', request([x]))
    expect(kinds(begun)).toEqual(['record', 'record', 'call b'])
  })
})

describe('data from other pipelines', () => {
  const plan = compile('p', 1, {
    steps: [{ name: 'a' }],
    input: {
      externalInputs: ['q.outputs.t', 'r.step.s.outputs'],
      externalTriggers: ['q.inputs.go'],
      tensorMap: { 'q.outputs.t': 'x' },
    },
    output: { steps: ['a'] },
  })
  it("is joined into the pipeline's own inputs, when the triggers have come", () => {
    const first = arrived(plan, begin(plan, true), 'q.outputs', response([int32('t', [1]), int32('u', [2])]))
    const second = arrived(plan, first, 'r.step.s.outputs', response([int32('v', [3])]))
    expect(kinds(second)).toEqual([])
    const third = arrived(plan, second, 'q.inputs', request([int32('go', [1])]))
    expect(kinds(third)).toEqual(['record', 'record', 'call a'])
    const [input] = third.effects
    expect(
      input?.kind === 'record' && [
        input.end,
        input.message.kind === 'request' && valuesOf(input.message.request.inputs),
      ],
    ).toEqual([
      { kind: 'pipeline', name: 'p', side: 'inputs' },
      [
        ['x', [1]],
        ['v', [3]],
      ],
    ])
  })

  it('is not needed by a request that was called', () => {
    expect(valuesOf(runPlan(plan, [x], { models }).answer?.outputs)).toEqual([['A', [65]]])
  })
})

function permutations<T>(list: readonly T[]): readonly (readonly T[])[] {
  if (list.length <= 1) return [list]
  return list.flatMap((one, index) => permutations(list.toSpliced(index, 1)).map((rest) => [one, ...rest]))
}
