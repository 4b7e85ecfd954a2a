/**
 * From readings of Envoy's counters to the totals of each window. Pure. A difference counts for a window only when both of its readings
 * began after the window was known: nothing from before it gets in, and no clocks are compared.
 */

export interface Bucket {
  readonly lowerUs: number
  readonly upperUs: number
  readonly count: number
}

/** What Envoy has counted of one candidate, or a part of it. */
export interface CandidateCount {
  readonly requests: number
  readonly errors: number
  readonly buckets: readonly Bucket[]
}

/** By experiment, then by candidate. */
export type Reading = ReadonlyMap<string, ReadonlyMap<string, CandidateCount>>

export interface WindowTotals {
  readonly window: string
  readonly candidates: ReadonlyMap<string, CandidateCount>
}

export interface Windows {
  /** Which window each experiment had when the last reading began. */
  readonly known: ReadonlyMap<string, string>
  readonly reading: Reading
  readonly totals: ReadonlyMap<string, WindowTotals>
}

export const NO_WINDOWS: Windows = { known: new Map(), reading: new Map(), totals: new Map() }

/** After one more reading, that began when `known` were the windows. */
export function addReading(windows: Windows, reading: Reading, known: ReadonlyMap<string, string>): Windows {
  const totals = new Map<string, WindowTotals>()
  for (const [experiment, window] of known) {
    const before = windows.totals.get(experiment)
    const soFar: WindowTotals = before?.window === window ? before : { window, candidates: new Map() }
    const counts = windows.known.get(experiment) === window
    totals.set(
      experiment,
      counts ? addDifference(soFar, windows.reading.get(experiment), reading.get(experiment)) : soFar,
    )
  }
  return { known, reading, totals }
}

type Counts = ReadonlyMap<string, CandidateCount> | undefined

function addDifference({ window, candidates }: WindowTotals, from: Counts, to: Counts): WindowTotals {
  const next = new Map(candidates)
  for (const [candidate, count] of to ?? [])
    next.set(candidate, sum(candidates.get(candidate), difference(from?.get(candidate), count)))
  return { window, candidates: next }
}

/** Counters that went back began anew with Envoy or its filter: then all of it is new. */
function difference(from: CandidateCount | undefined, to: CandidateCount): CandidateCount {
  if (from === undefined || to.requests < from.requests || to.errors < from.errors) return to
  const before = new Map(from.buckets.map((bucket) => [bucket.lowerUs, bucket.count]))
  if (from.buckets.some(({ lowerUs, count }) => count > (to.buckets.find((b) => b.lowerUs === lowerUs)?.count ?? 0)))
    return to
  return {
    requests: to.requests - from.requests,
    errors: to.errors - from.errors,
    buckets: to.buckets
      .map((bucket) => ({ ...bucket, count: bucket.count - (before.get(bucket.lowerUs) ?? 0) }))
      .filter(({ count }) => count > 0),
  }
}

function sum(a: CandidateCount | undefined, b: CandidateCount): CandidateCount {
  if (a === undefined) return b
  const buckets = new Map(a.buckets.map((bucket) => [bucket.lowerUs, bucket]))
  for (const bucket of b.buckets)
    buckets.set(bucket.lowerUs, { ...bucket, count: bucket.count + (buckets.get(bucket.lowerUs)?.count ?? 0) })
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    buckets: [...buckets.values()].toSorted((left, right) => left.lowerUs - right.lowerUs),
  }
}
