/** Two readings of the counters -> what happened between them, per model. Pure. */
import type { MetricSample } from './samples.ts'

export const REQUESTS = 'seldon_model_infer_total'
export const SECONDS = 'seldon_model_infer_seconds_total'

export interface Reading {
  readonly atMs: number
  readonly samples: readonly MetricSample[]
}

export interface ModelRate {
  readonly model: string
  readonly requestsPerSecond: number
  /** Undefined: no request ended in this time. */
  readonly meanMs: number | undefined
  /** Of the requests of this time, those that were not answered well. */
  readonly failedPercent: number
  /** Since Envoy started to count. */
  readonly total: number
  /** Records on its inputs in Kafka that are not done; absent: nobody reads them, or has told. */
  readonly lagRecords?: number
}

export const SORTS = ['rate', 'latency', 'errors', 'total', 'lag', 'name'] as const
export type Sort = (typeof SORTS)[number]

const isGood = (code: string | undefined): boolean => code === 'OK' || /^[123]\d\d$/.test(code ?? '')

interface Sums {
  requests: number
  failed: number
  seconds: number
}

/** A counter that went down began again (Envoy restarted): what it says now is what was added. */
export function ratesBetween(before: Reading, after: Reading): readonly ModelRate[] {
  const elapsedSeconds = Math.max((after.atMs - before.atMs) / 1_000, 0.001)
  const earlier = new Map(before.samples.map((sample) => [keyOf(sample), sample.value]))
  const added = new Map<string, Sums>()
  const totals = new Map<string, number>()
  for (const sample of after.samples) {
    const model = sample.labels['model'] ?? ''
    const sums = added.get(model) ?? { requests: 0, failed: 0, seconds: 0 }
    added.set(model, sums)
    const past = earlier.get(keyOf(sample)) ?? 0
    const growth = sample.value >= past ? sample.value - past : sample.value
    if (sample.name === SECONDS) sums.seconds += growth
    else {
      sums.requests += growth
      if (!isGood(sample.labels['code'])) sums.failed += growth
      totals.set(model, (totals.get(model) ?? 0) + sample.value)
    }
  }
  return [...added].map(([model, { requests, failed, seconds }]) => ({
    model,
    requestsPerSecond: requests / elapsedSeconds,
    meanMs: requests === 0 ? undefined : (1_000 * seconds) / requests,
    failedPercent: requests === 0 ? 0 : (100 * failed) / requests,
    total: totals.get(model) ?? 0,
  }))
}

const keyOf = ({ name, labels }: MetricSample): string =>
  JSON.stringify([
    name,
    ...Object.keys(labels)
      .toSorted()
      .map((label) => [label, labels[label]]),
  ])

const SORT_KEYS: Readonly<Record<Exclude<Sort, 'name'>, (rate: ModelRate) => number>> = {
  rate: (rate) => rate.requestsPerSecond,
  latency: (rate) => rate.meanMs ?? -1,
  errors: (rate) => rate.failedPercent,
  total: (rate) => rate.total,
  lag: (rate) => rate.lagRecords ?? -1,
}

/** The largest first, equals by name. */
export function sortRates(rates: readonly ModelRate[], sort: Sort): readonly ModelRate[] {
  const byName = rates.toSorted((a, b) => (a.model < b.model ? -1 : 1))
  if (sort === 'name') return byName
  const key = SORT_KEYS[sort]
  return byName.toSorted((a, b) => key(b) - key(a))
}
