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

/** Enough requests may fail it before enough durations are known: those of failed requests never are. */
export function judge(analysis: AnalysisSpec, canary: Figures, base: Figures): Judged {
  const least = analysis.minRequests ?? DEFAULT_MIN_REQUESTS
  if (canary.requests < least) return { verdict: 'insufficient', reason: few('the canary', canary.requests, least) }
  const lack = lackOfDurations(analysis, canary, base, least)
  const limits: AnalysisSpec =
    lack === undefined ? analysis : analysis.maxErrorRate === undefined ? {} : { maxErrorRate: analysis.maxErrorRate }
  const reasons = [
    above('error rate', canary.errorRate, limits.maxErrorRate, percent),
    above('p50', canary.p50Ms, limits.maxP50Ms, milliseconds),
    above('p99', canary.p99Ms, limits.maxP99Ms, milliseconds),
    above('p50 as a ratio to the default', ratio(canary.p50Ms, base.p50Ms), limits.maxP50Ratio, factor),
    above('p99 as a ratio to the default', ratio(canary.p99Ms, base.p99Ms), limits.maxP99Ratio, factor),
  ].filter((reason) => reason !== undefined)
  if (reasons.length > 0) return { verdict: 'failed', reason: reasons.join('; ') }
  if (lack !== undefined) return { verdict: 'insufficient', reason: lack }
  return { verdict: 'passed', reason: `all limits are kept over ${String(canary.requests)} requests` }
}

/** What is missing to compare durations; undefined when nothing is. */
function lackOfDurations(analysis: AnalysisSpec, canary: Figures, base: Figures, least: number): string | undefined {
  const compares = analysis.maxP50Ratio !== undefined || analysis.maxP99Ratio !== undefined
  const isLimited = compares || analysis.maxP50Ms !== undefined || analysis.maxP99Ms !== undefined
  if (isLimited && canary.timed < least) return few('the canary', canary.timed, least, 'durations')
  return compares && base.timed < least ? few('the default', base.timed, least, 'durations') : undefined
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
