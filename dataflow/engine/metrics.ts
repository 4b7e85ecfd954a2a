/** What an engine is busy with, and what came of it. */
import { Counter, type Registry } from 'prom-client'
import { gaugesOf } from '../../kit/gauges.ts'
import type { Outcome } from './asynchronous.ts'

export interface EngineGauges {
  readonly running: () => number
  /** Pipelines that are read. */
  readonly reading: () => number
  /** Records that are not done, by pipeline. */
  readonly lag: () => ReadonlyMap<string, number>
  readonly connected: () => boolean
}

export type CountEnd = (pipeline: string, outcome: Outcome) => void

export function createEngineMetrics(registry: Registry, gauges: EngineGauges): CountEnd {
  const ends = new Counter({
    name: 'millrace_engine_requests_total',
    help: 'Requests from Kafka that ended: answered, failed, poison (no request at all), lost (their gateway died).',
    labelNames: ['pipeline', 'outcome'] as const,
    registers: [registry],
  })
  const gauge = gaugesOf(registry)
  gauge.per(
    'pipeline',
    'millrace_engine_lag_records',
    'Records of the inputs of a pipeline that are not done.',
    gauges.lag,
  )
  gauge.one('millrace_engine_running_requests', 'Requests that run.', gauges.running)
  gauge.one('millrace_engine_pipelines', 'Pipelines whose inputs are read.', gauges.reading)
  gauge.one('millrace_engine_scheduler_connected', '1 while a scheduler is connected.', () =>
    Number(gauges.connected()),
  )
  return (pipeline, outcome) => {
    ends.inc({ pipeline, outcome })
  }
}
