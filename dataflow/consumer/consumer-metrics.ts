import { Counter, type Registry } from 'prom-client'

const GAPS = 'millrace_consumer_gaps_total'

/** Shared by all consumers of a process. */
export function createConsumerMetrics(registry: Registry): Counter {
  const known = registry.getSingleMetric(GAPS)
  if (known instanceof Counter) return known
  const help = 'Partitions whose records Kafka had deleted before they were read; reading went on at the earliest.'
  return new Counter({ name: GAPS, help, registers: [registry] })
}
