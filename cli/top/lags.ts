/** What waits in Kafka, beside what Envoy counted. Pure. */
import type { Worker } from '../../api/resources/worker.ts'
import type { ModelRate } from './rates.ts'

/** Models by their names, pipelines as requests name them: `<p>.pipeline`. */
export function lagsOf(workers: readonly Worker[]): ReadonlyMap<string, number> {
  const lags = new Map<string, number>()
  for (const { role, units } of workers)
    for (const { name, lagRecords } of units)
      if (lagRecords !== undefined) lags.set(role === 'engine' ? `${name}.pipeline` : name, lagRecords)
  return lags
}

/** What nobody asks through Envoy is there too while records of it wait. */
export function withLags(rates: readonly ModelRate[], lags: ReadonlyMap<string, number>): readonly ModelRate[] {
  const asked = new Set(rates.map(({ model }) => model))
  const waiting = [...lags].filter(([name, lag]) => lag > 0 && !asked.has(name))
  return [
    ...rates.map((rate) => {
      const lagRecords = lags.get(rate.model)
      return lagRecords === undefined ? rate : { ...rate, lagRecords }
    }),
    ...waiting.map(([model, lagRecords]) => ({
      model,
      requestsPerSecond: 0,
      meanMs: undefined,
      failedPercent: 0,
      total: 0,
      lagRecords,
    })),
  ]
}
