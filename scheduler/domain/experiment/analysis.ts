/** Whether a canary may have more traffic, by what was measured of it and of the default at the same time. Pure. */
import type { AnalysisSpec } from './rollout.ts'
import type { Figures } from './measurement.ts'

/** Fewer requests than this say nothing, unless the experiment says otherwise. */
export const DEFAULT_MIN_REQUESTS = 100

export interface Judged {
  /** `insufficient` never promotes. */
  readonly verdict: 'passed' | 'failed' | 'insufficient'
  readonly reason: string
}

/** Each limit is judged as soon as enough is known for it: durations come later than requests, and of failed ones never. */
export function judge(analysis: AnalysisSpec, canary: Figures, base: Figures): Judged {
  const least = analysis.minRequests ?? DEFAULT_MIN_REQUESTS
  if (canary.requests < least) return { verdict: 'insufficient', reason: few('the canary', canary.requests, least) }
  const { maxErrorRate, maxP50Ms, maxP99Ms, maxP50Ratio, maxP99Ratio } = analysis
  const isTimed = canary.timed >= least
  const isComparable = isTimed && base.timed >= least
  const reasons = [
    above('error rate', canary.errorRate, maxErrorRate, percent),
    ...(isTimed
      ? [above('p50', canary.p50Ms, maxP50Ms, milliseconds), above('p99', canary.p99Ms, maxP99Ms, milliseconds)]
      : []),
    ...(isComparable
      ? [
          above('p50 as a ratio to the default', ratio(canary.p50Ms, base.p50Ms), maxP50Ratio, factor),
          above('p99 as a ratio to the default', ratio(canary.p99Ms, base.p99Ms), maxP99Ratio, factor),
        ]
      : []),
  ].filter((reason) => reason !== undefined)
  if (reasons.length > 0) return { verdict: 'failed', reason: reasons.join('; ') }
  const compares = maxP50Ratio !== undefined || maxP99Ratio !== undefined
  if (!isTimed && (compares || maxP50Ms !== undefined || maxP99Ms !== undefined))
    return { verdict: 'insufficient', reason: few('the canary', canary.timed, least, 'durations') }
  if (!isComparable && compares)
    return { verdict: 'insufficient', reason: few('the default', base.timed, least, 'durations') }
  return { verdict: 'passed', reason: `all limits are kept over ${String(canary.requests)} requests` }
}

const few = (who: string, count: number, least: number, what = 'requests'): string =>
  `${who} has ${String(count)} of the ${String(least)} ${what} that a decision needs`

function above(
  what: string,
  value: number | undefined,
  limit: number | undefined,
  show: (value: number) => string,
): string | undefined {
  if (limit === undefined || value === undefined || value <= limit) return undefined
  return `${what} is ${show(value)}, above ${show(limit)}`
}

const ratio = (canary: number | undefined, base: number | undefined): number | undefined =>
  canary === undefined || base === undefined || base === 0 ? undefined : canary / base
const percent = (value: number): string => `${String(Number((value * 100).toFixed(2)))} %`
const milliseconds = (value: number): string => `${String(Number(value.toFixed(2)))} ms`
const factor = (value: number): string => String(Number(value.toFixed(2)))
