import { describe, expect, it } from 'vitest'
import type { Observed } from '../../../agent/desired/observed.ts'
import { type CheckResult, type Liveness, nextLiveness } from '../../../agent/runtime/liveness.ts'
import { cameUp, settle } from '../../../agent/runtime/server-state.ts'
import { known, model, stored } from './models.ts'

const alive: CheckResult = { kind: 'alive' }
const late: CheckResult = { kind: 'failed', reason: 'late' }
const refused: CheckResult = { kind: 'refused', reason: 'refused' }

describe('liveness', () => {
  it.each<[string, CheckResult[], Liveness]>([
    ['is down at once when the connection is refused', [alive, refused], { kind: 'Down', reason: 'refused' }],
    ['survives one late answer', [alive, late], { kind: 'Up', failures: 1 }],
    ['is down after two in a row', [alive, late, late], { kind: 'Down', reason: 'late' }],
    ['counts only those in a row', [alive, late, alive, late], { kind: 'Up', failures: 1 }],
    ['comes back with one answer', [refused, alive], { kind: 'Up', failures: 0 }],
    ['stays down while answers are late', [refused, late], { kind: 'Down', reason: 'late' }],
  ])('%s', (_name, checks, expected) => {
    const start: Liveness = { kind: 'Down', reason: 'not checked yet' }
    expect(checks.reduce<Liveness>(nextLiveness, start)).toEqual(expected)
  })
})

const loaded: Observed = { kind: 'Loaded', stored: stored() }
const failed: Observed = { kind: 'LoadFailed', stored: stored(), reason: 'r' }
const loading: Observed = { kind: 'Loading', stored: stored(), interruptions: 0 }
const desired = known([model('a_1'), model('b_1')])

describe('a server that has come up', () => {
  it.each([
    ['with everything is SERVING', desired, { a_1: loaded, b_1: loaded }, { kind: 'Serving' }],
    ['counts a failed load as settled', desired, { a_1: loaded, b_1: failed }, { kind: 'Serving' }],
    [
      'waits for what is missing',
      desired,
      { a_1: loaded, b_1: loading },
      { kind: 'Reloading', awaited: new Set(['b_1']) },
    ],
    ['waits for everything when it is empty', desired, {}, { kind: 'Reloading', awaited: new Set(['a_1', 'b_1']) }],
    ['with nothing desired is SERVING', known([]), {}, { kind: 'Serving' }],
    [
      'and is filled serves although nobody has said what is desired',
      { kind: 'Unknown' } as const,
      { a_1: loaded },
      { kind: 'Serving' },
    ],
    [
      'and is empty waits to hear what is desired',
      { kind: 'Unknown' } as const,
      {},
      { kind: 'Reloading', awaited: undefined },
    ],
  ])('%s', (_name, wanted, observed, expected) => {
    expect(cameUp(wanted, new Map(Object.entries(observed)))).toEqual(expected)
  })
})

describe('reloading', () => {
  const reloading = { kind: 'Reloading', awaited: new Set(['a_1', 'b_1']) } as const
  it('ends for a model that is no longer desired', () => {
    expect(settle(reloading, known([]), new Map())).toEqual({ kind: 'Serving' })
  })
  it('does not wait for models that were desired later', () => {
    const later = known([model('a_1'), model('b_1'), model('c_1')])
    expect(
      settle(
        reloading,
        later,
        new Map([
          ['a_1', loaded],
          ['b_1', loaded],
        ]),
      ),
    ).toEqual({ kind: 'Serving' })
  })
  it('takes up the models once somebody has said which', () => {
    expect(settle({ kind: 'Reloading', awaited: undefined }, desired, new Map())).toEqual(reloading)
  })
  it('never begins by itself: a model desired later leaves a server SERVING', () => {
    expect(settle({ kind: 'Serving' }, desired, new Map())).toEqual({ kind: 'Serving' })
    expect(settle({ kind: 'Down', reason: 'r' }, desired, new Map())).toEqual({ kind: 'Down', reason: 'r' })
  })
})
