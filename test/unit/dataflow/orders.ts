/** Every order in which calls can be answered and windows can end, each compared with the oracle after every event. */
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { NO_PARAMETERS } from '../../../api/oip/parameters.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import { advance, type Run, start } from '../../../dataflow/executor/executor.ts'
import type { Effect } from '../../../dataflow/executor/types.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import type { Plan } from '../../../dataflow/plan/plan.ts'
import { type Expected, expectations, type Happening, type Results, type Token } from './oracle.ts'

export interface Case {
  readonly spec: PipelineSpec
  /** The request's tensors. */
  readonly request: readonly string[]
  readonly results: Results
}

const DEADLINE_MS = 1_000_000
const tensorOf = (name: string, origin: string): Tensor => ({
  name,
  datatype: 'BOOL',
  shape: [],
  parameters: NO_PARAMETERS,
  bytes: Buffer.from(origin),
})
const tokenOf = ({ name, bytes }: Tensor): Token => [name, Buffer.from(bytes).toString()]

/** What has been seen of the executor in one order. */
interface Seen {
  readonly run: Run
  readonly history: readonly Happening[]
  readonly effects: readonly Effect[]
}

/** @returns how many orders there are */
export function checkEveryOrder(given: Case): number {
  const plan = compile('p', 1, given.spec)
  const inputs = given.request.map((name) => tensorOf(name, 'p'))
  const run = start(plan, {
    input: { id: 'r', parameters: {}, outputs: [], inputs },
    nowMs: 0,
    deadlineMs: DEADLINE_MS,
  })
  return checkFrom(plan, given, { run, history: [], effects: run.effects })
}

function checkFrom(plan: Plan, given: Case, seen: Seen): number {
  const { run, history, effects } = seen
  const expected = expectations(
    given.spec,
    given.request.map((name): Token => [name, 'p']),
    given.results,
    history,
  )
  const found = summary(plan, run, effects)
  const wanted = inOneForm(expected, given, seen)
  if (!isDeepStrictEqual(found, wanted)) expect(found, JSON.stringify({ ...given, history })).toEqual(wanted)
  const next = [...openCalls(plan, run, given.results), ...openWindows(plan, run)]
  // A request at rest is finished, and one that is not has something to wait for.
  if (run.state.isFinished !== (next.length === 0))
    expect.fail(`${JSON.stringify({ ...given, history })} is ${run.state.isFinished ? '' : 'not '}finished`)
  let orders = next.length === 0 ? 1 : 0
  for (const { happening, after } of next) {
    const later = after()
    orders += checkFrom(plan, given, {
      run: later,
      history: [...history, happening],
      effects: [...effects, ...later.effects],
    })
  }
  return orders
}

interface Choice {
  readonly happening: Happening
  readonly after: () => Run
}

function openCalls(plan: Plan, { state }: Run, results: Results): readonly Choice[] {
  return state.calls.map(({ id: call, node }) => {
    const step = plan.nodes[node]?.name ?? ''
    const result = results[step] ?? []
    return {
      happening: { kind: 'done', step },
      after: () => {
        if (result === 'fails') return advance(plan, state, { kind: 'failed', call, cause: step, nowMs: 0 })
        const outputs = result.map((name) => tensorOf(name, step))
        const response = { modelName: step, modelVersion: '1', id: '', parameters: {}, outputs }
        return advance(plan, state, { kind: 'answered', call, response, nowMs: 0 })
      },
    }
  })
}

function openWindows(plan: Plan, { state }: Run): readonly Choice[] {
  return state.timers.flatMap((purpose) => {
    if (purpose.kind !== 'window' || state.isFinished) return []
    const { id: timer, node, group } = purpose
    if (state.nodes[node]?.[group]?.windows.some(({ id }) => id === timer) !== true) return []
    // Nobody waits any more.
    if (state.outcome !== 'running' && plan.nodes[node]?.feedsSide !== true) return []
    const name = plan.nodes[node]?.kind === 'output' ? 'the output' : (plan.nodes[node]?.name ?? '')
    return [
      {
        happening: { kind: 'window', node: name, group },
        after: () => advance(plan, state, { kind: 'timer', timer, nowMs: 0 }),
      },
    ]
  })
}

function summary(plan: Plan, { state }: Run, effects: readonly Effect[]) {
  const of = <K extends Effect['kind']>(kind: K) =>
    effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind)
  const ends = [...of('answer'), ...of('fail')].map((effect) =>
    effect.kind === 'answer'
      ? { kind: 'answered', tensors: effect.response.outputs.map(tokenOf) }
      : { kind: 'failed', reason: effect.failure.kind === 'step' ? effect.failure.step : 'no output' },
  )
  return {
    started: of('call')
      .map(({ step, request }) => [step, request.inputs.map(tokenOf)] as const)
      .toSorted(byName),
    running: state.calls.map(({ node }) => plan.nodes[node]?.name ?? '').toSorted(),
    ends,
    sideFailures: of('sideFailed').map(({ failure }) => (failure.kind === 'step' ? failure.step : failure.kind)),
    records: of('record')
      .map(({ end }) => `${end.name}.${end.side}`)
      .toSorted(),
    finished: of('finished').length,
  }
}

function inOneForm({ started, running, end, sideFailures }: Expected, { results }: Case, { run, history }: Seen) {
  const answers = history.flatMap((happening) =>
    happening.kind === 'done' && results[happening.step] !== 'fails' ? [`${happening.step}.outputs`] : [],
  )
  return {
    started: [...started].toSorted(byName),
    running: [...running].toSorted(),
    ends: end === undefined ? [] : [end],
    sideFailures,
    records: [
      'p.inputs',
      ...[...started.keys()].map((step) => `${step}.inputs`),
      ...answers,
      ...(end?.kind === 'answered' ? ['p.outputs'] : []),
    ].toSorted(),
    finished: run.state.isFinished ? 1 : 0,
  }
}

const byName = (a: readonly [string, unknown], b: readonly [string, unknown]) => (a[0] < b[0] ? -1 : 1)
