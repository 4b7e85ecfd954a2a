import { Counter, type Registry } from 'prom-client'

const GAPS = 'millrace_consumer_gaps_total'

/** Shared by all consumers of a process. */
export function createConsumerMetrics(registry: Registry): Counter {
  const known = registry.getSingleMetric(GAPS)
  if (known instanceof Counter) return known
  const help = 'Partitions whose records Kafka had deleted before they were read; reading went on at the earliest.'
  return new Counter({ name: GAPS, help, registers: [registry] })
}

/** Of one shared reading. */
export function createSharedReads(registry: Registry): Counter<'way'> {
  return new Counter({
    name: 'millrace_consumer_shared_records_total',
    help: 'Records read of topics that several pipelines share: shared (once for all of them), alone (again, for one that was behind).',
    labelNames: ['way'] as const,
    registers: [registry],
  })
}
