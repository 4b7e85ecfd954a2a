/**
 * Whether a canary breaks a limit so clearly that nobody has to wait for the end of its interval. Pure. It is asked again with every report,
 * so a few unlucky requests are not enough: keeping the limit, it would look like this less than once in ten thousand times.
 */
import { DEFAULT_MIN_REQUESTS } from './analysis.ts'
import { type Measurement, timedOf } from './measurement.ts'
import type { AnalysisSpec } from './rollout.ts'

const BEYOND_DOUBT = Math.log(10_000)

export function failsClearly(analysis: AnalysisSpec, canary: Measurement, base: Measurement): boolean {
  const { minRequests: least = DEFAULT_MIN_REQUESTS, maxErrorRate, maxP50Ms, maxP99Ms, ...ratios } = analysis
  if (canary.requests < least) return false
  if (maxErrorRate !== undefined && isClearlyMore(canary.errors, canary.requests, maxErrorRate)) return true
  if (timedOf(canary) < least) return false
  const isSlow = (quantile: number, limitMs: number | undefined): boolean =>
    limitMs !== undefined && isClearlyMore(slowerThan(limitMs, canary), timedOf(canary), 1 - quantile)
  if (isSlow(0.5, maxP50Ms) || isSlow(0.99, maxP99Ms)) return true
  if (timedOf(base) < least) return false
  const limitOf = (quantile: number, ratio: number | undefined): number | undefined => {
    const highest = ratio === undefined ? undefined : highestQuantileMs(base, quantile)
    return highest === undefined || ratio === undefined ? undefined : highest * ratio
  }
  return isSlow(0.5, limitOf(0.5, ratios.maxP50Ratio)) || isSlow(0.99, limitOf(0.99, ratios.maxP99Ratio))
}

const isClearlyMore = (count: number, of: number, share: number): boolean =>
  count > share * of && evidence(count / of, share) * of > BEYOND_DOUBT

const isClearlyFewer = (count: number, of: number, share: number): boolean =>
  count < share * of && evidence(count / of, share) * of > BEYOND_DOUBT

/** What each request says against the share, given the one that was seen: Chernoff's bound. Infinite against 0 and 1. */
const evidence = (seen: number, share: number): number => part(seen, share) + part(1 - seen, 1 - share)
const part = (seen: number, share: number): number => (seen === 0 ? 0 : seen * Math.log(seen / share))

/** Durations that are above the limit for certain: those in its own bucket are not. */
const slowerThan = (limitMs: number, { buckets }: Measurement): number =>
  buckets.reduce((sum, { lowerUs, count }) => sum + (lowerUs >= limitMs * 1_000 ? count : 0), 0)

/** What the true quantile does not exceed; undefined when too little is known to say. */
function highestQuantileMs(measurement: Measurement, quantile: number): number | undefined {
  const timed = timedOf(measurement)
  let slower = timed
  for (const { upperUs, count } of measurement.buckets) {
    slower -= count
    if (isClearlyFewer(slower, timed, 1 - quantile)) return upperUs / 1_000
  }
  return undefined
}
