import fc from 'fast-check'
import { expect, test } from 'vitest'
import { judge } from '../../../../scheduler/domain/experiment/analysis.ts'
import { failsClearly } from '../../../../scheduler/domain/experiment/clear-failure.ts'
import { type Bucket, type Measurement, toFigures } from '../../../../scheduler/domain/experiment/measurement.ts'

const around = (ms: number, count: number): Bucket => ({ lowerUs: ms * 1_000, upperUs: ms * 1_100, count })
const seen = (requests: number, errors: number, ...buckets: readonly Bucket[]): Measurement => ({
  requests,
  errors,
  buckets,
})
const BASE = seen(2_000, 0, around(10, 2_000))

test.each([
  ['20 % errors of 30 where 1 % may be', { maxErrorRate: 0.01 }, seen(30, 6), true],
  ['two errors of 30 where 1 % may be', { maxErrorRate: 0.01 }, seen(30, 2), false],
  ['2 % errors of 100 where 1 % may be', { maxErrorRate: 0.01 }, seen(100, 2), false],
  ['2 % errors of 10,000 where 1 % may be', { maxErrorRate: 0.01 }, seen(10_000, 200), true],
  ['one error where none may be', { maxErrorRate: 0 }, seen(30, 1), true],
  ['nothing but errors, of too few', { maxErrorRate: 0.01 }, seen(19, 19), false],
  ['half of them slow where p99 is limited', { maxP99Ms: 50 }, seen(30, 0, around(10, 15), around(60, 15)), true],
  ['one of 30 slow where p99 is limited', { maxP99Ms: 50 }, seen(30, 0, around(10, 29), around(60, 1)), false],
  [
    'few more than half slow where p50 is limited',
    { maxP50Ms: 50 },
    seen(30, 0, around(10, 14), around(60, 16)),
    false,
  ],
  ['slow ones that may be just below the limit', { maxP99Ms: 62 }, seen(30, 0, around(60, 30)), false],
  ['durations of too few', { maxP99Ms: 50 }, seen(30, 11, around(60, 19)), false],
  ['p50 twice that of the default', { maxP50Ratio: 1.5 }, seen(100, 0, around(20, 100)), true],
  ['p99 twice that of the default', { maxP99Ratio: 1.5 }, seen(100, 0, around(10, 70), around(20, 30)), true],
  ['p99 as that of the default', { maxP99Ratio: 1.5 }, seen(100, 0, around(10, 100)), false],
])('%s', (_what, limits, canary, isClear) => {
  expect(failsClearly({ minRequests: 20, ...limits }, canary, BASE)).toBe(isClear)
})

test('p99 of a default of which too little is known compares nothing before the end', () => {
  const canary = seen(100, 0, around(1_000, 100))
  expect(failsClearly({ minRequests: 20, maxP99Ratio: 1.5 }, canary, seen(200, 0, around(10, 200)))).toBe(false)
})

test('what is clear would fail at the end of the interval, too', () => {
  const counts = fc.array(fc.tuple(fc.integer({ min: 1, max: 300 }), fc.nat({ max: 200 })), { maxLength: 8 })
  const measurement = fc.tuple(counts, fc.nat({ max: 100 })).map(([given, errors]): Measurement => {
    const buckets = [...new Map(given).entries()].toSorted(([a], [b]) => a - b)
    const timed = buckets.reduce((sum, [, count]) => sum + count, 0)
    return seen(timed + errors, errors, ...buckets.map(([ms, count]) => around(ms, count)))
  })
  const limits = fc.record(
    {
      maxErrorRate: fc.double({ min: 0, max: 1, noNaN: true }),
      maxP50Ms: fc.integer({ min: 0, max: 300 }),
      maxP99Ms: fc.integer({ min: 0, max: 300 }),
      maxP50Ratio: fc.double({ min: 0, max: 4, noNaN: true }),
      maxP99Ratio: fc.double({ min: 0, max: 4, noNaN: true }),
      minRequests: fc.integer({ min: 1, max: 200 }),
    },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(limits, measurement, measurement, (analysis, canary, base) => {
      fc.pre(failsClearly(analysis, canary, base))
      expect(judge(analysis, toFigures(canary), toFigures(base)).verdict).toBe('failed')
    }),
    { numRuns: 300 },
  )
})
