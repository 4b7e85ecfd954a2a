/** What an engine is busy with, and what came of it. */
import { Counter, type Registry } from 'prom-client'
import { gaugesOf } from '../../kit/gauges.ts'
import type { Outcome } from './asynchronous.ts'
import type { ExternalOutcome } from './external-inputs.ts'

export interface EngineGauges {
  readonly running: () => number
  /** Pipelines that are read. */
  readonly reading: () => number
  /** Records that are not done, by pipeline. */
  readonly lag: () => ReadonlyMap<string, number>
  /** Requests of which some inputs have come from other pipelines, by pipeline; and what they hold. */
  readonly openExternal: () => ReadonlyMap<string, number>
  readonly openExternalBytes: () => number
  readonly connected: () => boolean
}

interface EngineCounts {
  readonly count: (pipeline: string, outcome: Outcome) => void
  readonly countExternal: (pipeline: string, outcome: ExternalOutcome, records: number) => void
}

export function createEngineMetrics(registry: Registry, gauges: EngineGauges): EngineCounts {
  const ends = new Counter({
    name: 'millrace_engine_requests_total',
    help: 'Requests from Kafka that ended: answered, failed, poison (no request at all), lost (their gateway died).',
    labelNames: ['pipeline', 'outcome'] as const,
    registers: [registry],
  })
  const external = new Counter({
    name: 'millrace_engine_external_records_total',
    help: 'Records from other pipelines: joined (became a request), expired (their window ended), late (outside of it), duplicate, overflow (too much waited), failed (errors of theirs), unreadable.',
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
  gauge.per(
    'pipeline',
    'millrace_engine_external_open_requests',
    'Requests of which some inputs have come from other pipelines, and some have not.',
    gauges.openExternal,
  )
  gauge.one('millrace_engine_external_open_bytes', 'What those hold.', gauges.openExternalBytes)
  gauge.one('millrace_engine_running_requests', 'Requests that run.', gauges.running)
  gauge.one('millrace_engine_pipelines', 'Pipelines whose inputs are read.', gauges.reading)
  gauge.one('millrace_engine_scheduler_connected', '1 while a scheduler is connected.', () =>
    Number(gauges.connected()),
  )
  return {
    count: (pipeline, outcome) => {
      ends.inc({ pipeline, outcome })
    },
    countExternal: (pipeline, outcome, records) => {
      external.inc({ pipeline, outcome }, records)
    },
  }
}
