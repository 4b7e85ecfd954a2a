import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addReading, NO_WINDOWS, type Reading, type Windows } from '../../../mesh/measure/windows.ts'

const reading = (requests: number, errors = 0, experiment = 'e'): Reading =>
  new Map([
    [experiment, new Map([['c', { requests, errors, buckets: [{ lowerUs: 0, upperUs: 10, count: requests }] }]])],
  ])
const known = (window: string): ReadonlyMap<string, string> => new Map([['e', window]])
const requestsOf = (windows: Windows): number | undefined => windows.totals.get('e')?.candidates.get('c')?.requests

function play(steps: readonly (readonly [Reading, ReadonlyMap<string, string>])[]): Windows {
  return steps.reduce((windows, [read, window]) => addReading(windows, read, window), NO_WINDOWS)
}

describe('the totals of a window', () => {
  test('hold nothing from before the window was known', () => {
    expect(requestsOf(play([[reading(1_000), known('1')]]))).toBeUndefined()
    expect(
      requestsOf(
        play([
          [reading(1_000), known('1')],
          [reading(1_007), known('1')],
        ]),
      ),
    ).toBe(7)
  })

  test('begin anew with another window, whose first reading counts for neither', () => {
    const windows = play([
      [reading(0), known('1')],
      [reading(10), known('1')],
      [reading(20), known('2')],
      [reading(35), known('2')],
    ])
    expect(windows.totals.get('e')?.window).toBe('2')
    expect(requestsOf(windows)).toBe(15)
  })

  test('go on when the counters begin at 0 again', () => {
    const windows = play([
      [reading(100), known('1')],
      [reading(110), known('1')],
      [reading(4), known('1')],
      [reading(9), known('1')],
    ])
    expect(windows.totals.get('e')?.candidates.get('c')).toEqual({
      requests: 19,
      errors: 0,
      buckets: [{ lowerUs: 0, upperUs: 10, count: 19 }],
    })
  })

  test('are forgotten when nothing is measured any more', () => {
    const windows = play([
      [reading(0), known('1')],
      [reading(10), known('1')],
      [reading(20), new Map()],
    ])
    expect(windows.totals.size).toBe(0)
  })

  test('are what happened between its first and its last reading, wherever the windows begin', () => {
    const step = fc.record({ more: fc.nat({ max: 50 }), begins: fc.boolean() })
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 40 }), (steps) => {
        let windows = NO_WINDOWS
        let total = 0
        let window = 0
        let since = 0
        for (const { more, begins } of steps) {
          total += more
          if (begins || windows === NO_WINDOWS) {
            window += 1
            since = total
          }
          windows = addReading(windows, reading(total), known(String(window)))
          expect(requestsOf(windows) ?? 0).toBe(total - since)
        }
      }),
    )
  })
})
