/** What was measured of one candidate in one window: requests, errors, and durations as a histogram. Pure. */

/** Durations from `lowerUs` to below `upperUs`, in microseconds. */
export interface Bucket {
  readonly lowerUs: number
  readonly upperUs: number
  readonly count: number
}

export interface Measurement {
  readonly requests: number
  readonly errors: number
  /** Ascending, none twice. */
  readonly buckets: readonly Bucket[]
}

export const NOTHING_MEASURED: Measurement = { requests: 0, errors: 0, buckets: [] }

/** Both together, as if one Envoy had seen it all. */
export function addMeasurements(a: Measurement, b: Measurement): Measurement {
  const counts = new Map<number, Bucket>()
  for (const bucket of [...a.buckets, ...b.buckets]) {
    const known = counts.get(bucket.lowerUs)
    counts.set(bucket.lowerUs, known === undefined ? bucket : { ...known, count: known.count + bucket.count })
  }
  return {
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    buckets: [...counts.values()].toSorted((left, right) => left.lowerUs - right.lowerUs),
  }
}

/** The duration that this share of the requests did not exceed, interpolated in its bucket; undefined without any. */
export function quantileMs(measurement: Measurement, share: number): number | undefined {
  const total = timedOf(measurement)
  if (total === 0) return undefined
  let left = share * total
  for (const { lowerUs, upperUs, count } of measurement.buckets) {
    if (count > 0 && left <= count) return (lowerUs + (upperUs - lowerUs) * (left / count)) / 1_000
    left -= count
  }
  return (measurement.buckets.findLast(({ count }) => count > 0)?.upperUs ?? 0) / 1_000 // rounding left a crumb
}

/** Durations that are known. */
export const timedOf = ({ buckets }: Measurement): number => buckets.reduce((sum, { count }) => sum + count, 0)

/** The figures that a decision is made by, and kept with. */
export interface Figures {
  readonly requests: number
  readonly errors: number
  /** Durations that are known: Envoy gives them later than the counts, and none of failed requests. */
  readonly timed: number
  readonly errorRate?: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

export function toFigures(measurement: Measurement): Figures {
  const { requests, errors } = measurement
  const p50Ms = quantileMs(measurement, 0.5)
  const p99Ms = quantileMs(measurement, 0.99)
  return {
    requests,
    errors,
    timed: timedOf(measurement),
    ...(requests === 0 ? {} : { errorRate: errors / requests }),
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  }
}
