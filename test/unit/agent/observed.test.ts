import { describe, expect, it } from 'vitest'
import { MAX_INTERRUPTIONS, type ModelEvent, type Observed, transition } from '../../../agent/desired/observed.ts'
import { stored } from './models.ts'

const begin: ModelEvent = { kind: 'loadStarted', stored: stored({ artifactBytes: 0 }) }
const run = (...events: ModelEvent[]): Observed | undefined =>
  events.reduce<Observed | undefined>((observed, event) => transition(observed, event), undefined)

describe('the life of a model on a replica', () => {
  it.each<[string, ModelEvent[], Partial<Observed> | undefined]>([
    [
      'is loaded',
      [begin, { kind: 'artifactStored', stored: stored() }, { kind: 'loaded' }],
      { kind: 'Loaded', stored: stored() },
    ],
    ['fails to load', [begin, { kind: 'loadFailed', reason: 'r' }], { kind: 'LoadFailed', reason: 'r' }],
    ['is loaded and unloaded', [begin, { kind: 'loaded' }, { kind: 'unloadStarted' }, { kind: 'unloaded' }], undefined],
    [
      'fails to unload',
      [begin, { kind: 'loaded' }, { kind: 'unloadStarted' }, { kind: 'unloadFailed', reason: 'r', retryAtMs: 9 }],
      { kind: 'UnloadFailed', reason: 'r', failures: 1, retryAtMs: 9 },
    ],
    ['is adopted', [{ kind: 'foundLoaded', stored: stored() }], { kind: 'Loaded', stored: stored() }],
    ['is lost with its server', [begin, { kind: 'loaded' }, { kind: 'foundMissing' }], { kind: 'Stored' }],
    [
      'is cut off while unloading',
      [begin, { kind: 'loaded' }, { kind: 'unloadStarted' }, { kind: 'unloadInterrupted' }],
      { kind: 'Stored' },
    ],
    [
      'is cut off while loading',
      [begin, { kind: 'loadInterrupted', reason: 'r' }],
      { kind: 'Stored', interruptions: 1 },
    ],
  ])('%s', (_name, events, expected) => {
    const end = run(...events)
    if (expected === undefined) expect(end).toBeUndefined()
    else expect(end).toMatchObject(expected)
  })

  it.each<[string, ModelEvent[], ModelEvent]>([
    ['a late load result after it failed', [begin, { kind: 'loadFailed', reason: 'r' }], { kind: 'loaded' }],
    ['a late failure after it was loaded', [begin, { kind: 'loaded' }], { kind: 'loadFailed', reason: 'r' }],
    ['a late unload result while it is loaded', [begin, { kind: 'loaded' }], { kind: 'unloaded' }],
    ['missing from an index while it loads', [begin], { kind: 'foundMissing' }],
    [
      'in an index while it unloads',
      [begin, { kind: 'loaded' }, { kind: 'unloadStarted' }],
      { kind: 'foundLoaded', stored: stored() },
    ],
    [
      'its files after it failed',
      [begin, { kind: 'loadFailed', reason: 'r' }],
      { kind: 'artifactStored', stored: stored() },
    ],
  ])('is not changed by %s', (_name, events, late) => {
    const before = run(...events)
    expect(transition(before, late)).toBe(before)
  })

  it('fails when its load was cut off too often, and starts anew with the next attempt', () => {
    const rounds = Array.from({ length: MAX_INTERRUPTIONS }, () => [
      begin,
      { kind: 'loadInterrupted', reason: 'gone' } as const,
    ])
    const failed = run(...rounds.flat())
    expect(failed).toMatchObject({ kind: 'LoadFailed', reason: 'the server went away 3 times while loading it: gone' })
    expect(transition(failed, begin)).toMatchObject({ kind: 'Loading', interruptions: 0 })
  })

  it('counts failed unloads', () => {
    const again: ModelEvent[] = [{ kind: 'unloadStarted' }, { kind: 'unloadFailed', reason: 'r', retryAtMs: 1 }]
    expect(run(begin, { kind: 'loaded' }, ...again, ...again)).toMatchObject({ kind: 'UnloadFailed', failures: 2 })
  })
})
