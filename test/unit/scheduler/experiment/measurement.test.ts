import fc from 'fast-check'
import { expect, test } from 'vitest'
import { judge } from '../../../../scheduler/domain/experiment/analysis.ts'
import {
  addMeasurements,
  type Measurement,
  NOTHING_MEASURED,
  quantileMs,
  toFigures,
} from '../../../../scheduler/domain/experiment/measurement.ts'

/** Buckets of 10 %, as Envoy keeps them. */
function toMeasurement(durationsUs: readonly number[]): Measurement {
  return durationsUs
    .map((duration): Measurement => {
      const scale = 10 ** Math.max(0, Math.floor(Math.log10(duration)) - 1)
      const lowerUs = Math.floor(duration / scale) * scale
      return { requests: 1, errors: 0, buckets: [{ lowerUs, upperUs: lowerUs + scale, count: 1 }] }
    })
    .reduce(addMeasurements, NOTHING_MEASURED)
}

test('a quantile is at most a bucket, 10 %, away from the true one', () => {
  const durations = fc.array(fc.integer({ min: 10, max: 10_000_000 }), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(durations, fc.constantFrom(0.5, 0.99), (values, share) => {
      const sorted = values.toSorted((a, b) => a - b)
      const exact = (sorted[Math.max(0, Math.ceil(share * values.length) - 1)] ?? 0) / 1_000
      const found = quantileMs(toMeasurement(values), share) ?? Number.NaN
      expect(found).toBeGreaterThanOrEqual(exact * 0.9)
      expect(found).toBeLessThanOrEqual(exact * 1.11)
    }),
  )
})

test('the order of the parts does not matter', () => {
  const part = fc.array(fc.integer({ min: 10, max: 100_000 }), { maxLength: 20 }).map(toMeasurement)
  fc.assert(
    fc.property(part, part, (a, b) => {
      expect(addMeasurements(a, b)).toEqual(addMeasurements(b, a))
    }),
  )
})

test('nothing measured has no figures but the counts', () => {
  expect(toFigures(NOTHING_MEASURED)).toEqual({ requests: 0, errors: 0, timed: 0 })
})

test.each([
  ['nothing is limited', {}, 'passed'],
  ['the error rate is at the limit', { maxErrorRate: 0.05 }, 'passed'],
  ['the error rate is above the limit', { maxErrorRate: 0.04 }, 'failed'],
  ['p50 is above the limit', { maxP50Ms: 9 }, 'failed'],
  ['p99 is above the limit', { maxP99Ms: 9 }, 'failed'],
  ['p50 is twice that of the default', { maxP50Ratio: 1.9 }, 'failed'],
  ['p99 is twice that of the default', { maxP99Ratio: 2.1 }, 'passed'],
  ['more requests are needed', { minRequests: 201 }, 'insufficient'],
  ['the default has too few to compare with', { minRequests: 150, maxP99Ratio: 2 }, 'insufficient'],
  ['the default has few, but nothing is compared', { minRequests: 150, maxP99Ms: 20 }, 'passed'],
  ['durations are wanted of more requests than have one', { minRequests: 195, maxP99Ms: 20 }, 'insufficient'],
  ['durations are missing, but it fails without them', { minRequests: 195, maxP99Ms: 9, maxErrorRate: 0.04 }, 'failed'],
])('%s', (_what, analysis, verdict) => {
  const canary = { requests: 200, errors: 10, timed: 190, errorRate: 0.05, p50Ms: 10, p99Ms: 20 }
  expect(
    judge(analysis, canary, { requests: 120, errors: 0, timed: 120, errorRate: 0, p50Ms: 5, p99Ms: 10 }).verdict,
  ).toBe(verdict)
})
