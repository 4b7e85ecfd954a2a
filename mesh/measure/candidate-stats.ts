/** Envoy's counters of the candidates of experiments, read into plain values. Pure. Names are those of wasm-filter/README.md. */
import { parseStats, parseHistogramDetails, statsQuery } from '../envoy-stats.ts'
import type { Bucket, CandidateCount, Reading } from './windows.ts'

/** Query strings for Envoy's `/stats`. */
export const CANDIDATE_COUNTERS_QUERY = statsQuery({
  type: 'Counters',
  filter: '^wasmcustom\\.millrace\\.candidate_(requests|errors)\\.',
})
export const CANDIDATE_HISTOGRAMS_QUERY = statsQuery({
  type: 'Histograms',
  histogram_buckets: 'detailed',
  filter: '^wasmcustom\\.millrace\\.candidate_us\\.',
})

/** From the answers to both queries. @throws ServingError ENVOY_UNAVAILABLE */
export function toReading([counters, histograms]: readonly [string, string]): Reading {
  const found = new Map<string, Map<string, CandidateCount>>()
  const add = (experiment: string, candidate: string, more: Partial<CandidateCount>): void => {
    const candidates = found.get(experiment) ?? new Map<string, CandidateCount>()
    found.set(experiment, candidates)
    const known = candidates.get(candidate)
    candidates.set(candidate, {
      requests: (known?.requests ?? 0) + (more.requests ?? 0),
      errors: (known?.errors ?? 0) + (more.errors ?? 0),
      buckets: merge(known?.buckets ?? [], more.buckets ?? []),
    })
  }
  for (const [name, value] of parseStats(counters)) {
    const [kind, experiment, candidate] = fieldsOf(name)
    if (experiment === undefined || candidate === undefined) continue
    add(experiment, candidate, kind === 'candidate_errors' ? { errors: value } : { requests: value })
  }
  for (const { name, buckets } of parseHistogramDetails(histograms)) {
    const [, experiment, candidate] = fieldsOf(name)
    if (experiment !== undefined && candidate !== undefined) add(experiment, candidate, { buckets })
  }
  return found
}

/** What follows `wasmcustom.millrace.`: the series and its labels; nothing when it is not valid text. REST and gRPC count together. */
function fieldsOf(name: string): readonly string[] {
  try {
    return name.split('.').slice(2).map(decodeURIComponent)
  } catch {
    return [] // not one of ours: the filter encodes every name
  }
}

function merge(a: readonly Bucket[], b: readonly Bucket[]): readonly Bucket[] {
  if (a.length === 0) return b
  const buckets = new Map(a.map((bucket) => [bucket.lowerUs, bucket]))
  for (const bucket of b)
    buckets.set(bucket.lowerUs, { ...bucket, count: bucket.count + (buckets.get(bucket.lowerUs)?.count ?? 0) })
  return [...buckets.values()].toSorted((left, right) => left.lowerUs - right.lowerUs)
}
