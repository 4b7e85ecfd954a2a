import { describe, expect, it } from 'vitest'
import { nextRetryAtMs, planActions } from '../../../agent/desired/actions.ts'
import type { Observed } from '../../../agent/desired/observed.ts'
import { known, model, stored } from './models.ts'

const NOW = 1_000
const states: Record<string, Observed> = {
  Stored: { kind: 'Stored', stored: stored(), interruptions: 0 },
  Loading: { kind: 'Loading', stored: stored(), interruptions: 0 },
  Loaded: { kind: 'Loaded', stored: stored() },
  LoadFailed: { kind: 'LoadFailed', stored: stored(), reason: 'no' },
  Unloading: { kind: 'Unloading', stored: stored(), failures: 0 },
  UnloadFailed: { kind: 'UnloadFailed', stored: stored(), reason: 'no', failures: 1, retryAtMs: NOW },
  'UnloadFailed, to be retried later': {
    kind: 'UnloadFailed',
    stored: stored(),
    reason: 'no',
    failures: 1,
    retryAtMs: NOW + 1,
  },
}
const planned = (...args: Parameters<typeof planActions>): string[] =>
  planActions(...args).map((action) => `${action.kind} ${action.internalName}`)
const observing = (observed: Observed | undefined) => new Map(observed ? [['iris_1', observed] as const] : [])

describe('what to do for a desired model', () => {
  it.each([
    ['nothing known', undefined, ['load iris_1']],
    ['Stored', states['Stored'], ['load iris_1']],
    ['Loading', states['Loading'], []],
    ['Loaded', states['Loaded'], []],
    ['LoadFailed', states['LoadFailed'], []],
    ['Unloading', states['Unloading'], []],
    ['UnloadFailed', states['UnloadFailed'], ['load iris_1']],
  ])('%s', (_name, observed, expected) => {
    expect(planned(known([model('iris_1')]), observing(observed), NOW)).toEqual(expected)
  })

  it.each([
    ['a failed load is tried again when the attempt grew', states['LoadFailed'], { attempt: 2 }, ['load iris_1']],
    ['a loaded one stays when the attempt grew', states['Loaded'], { attempt: 2 }, []],
    ['a loaded one is replaced when its artefact changed', states['Loaded'], { storageUri: '/b' }, ['load iris_1']],
    ['a failed one is loaded when its artefact changed', states['LoadFailed'], { storageUri: '/b' }, ['load iris_1']],
    [
      'a loaded one is replaced when its parameters changed',
      states['Loaded'],
      { parameters: { a: '1' } },
      ['load iris_1'],
    ],
    ['more memory alone changes nothing', states['Loaded'], { memoryBytes: 99 }, []],
  ])('%s', (_name, observed, change, expected) => {
    expect(planned(known([model('iris_1', change)]), observing(observed), NOW)).toEqual(expected)
  })

  it('keeps a model that somebody else loaded: there is no record to compare with', () => {
    const observed: Observed = { kind: 'Loaded', stored: stored({ specKey: '' }) }
    expect(planned(known([model('iris_1')]), observing(observed), NOW)).toEqual([])
  })
})

describe('what to do for a model that nobody desires', () => {
  it.each([
    ['Stored', ['unload iris_1']],
    ['Loading', []],
    ['Loaded', ['unload iris_1']],
    ['LoadFailed', ['unload iris_1']],
    ['Unloading', []],
    ['UnloadFailed', ['unload iris_1']],
    ['UnloadFailed, to be retried later', []],
  ])('%s', (name, expected) => {
    expect(planned(known([]), observing(states[name]), NOW)).toEqual(expected)
  })

  it('nothing is unloaded before a scheduler has spoken', () => {
    expect(planned({ kind: 'Unknown' }, observing(states['Loaded']), NOW)).toEqual([])
    expect(planned(known([], { confirmed: false }), observing(states['Loaded']), NOW)).toEqual([])
  })
})

describe('the plan', () => {
  it('loads from the last run already before a scheduler has spoken', () => {
    expect(planned(known([model('iris_1')], { confirmed: false }), new Map(), NOW)).toEqual(['load iris_1'])
  })

  it('unloads first, to free memory', () => {
    expect(planned(known([model('b_1')]), observing(states['Loaded']), NOW)).toEqual(['unload iris_1', 'load b_1'])
  })

  it('wakes up for the next unload that can be tried again, not for those that are due', () => {
    const at = (retryAtMs: number): Observed => ({
      ...(states['UnloadFailed'] as Observed & { kind: 'UnloadFailed' }),
      retryAtMs,
    })
    const observed = new Map([
      ['a', at(NOW - 1)],
      ['b', at(NOW + 30)],
      ['c', at(NOW + 20)],
    ])
    expect(nextRetryAtMs(observed, NOW)).toBe(NOW + 20)
    expect(nextRetryAtMs(observing(states['Loaded']), NOW)).toBeUndefined()
  })
})
