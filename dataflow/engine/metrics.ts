/** What an engine is busy with, and what came of it. */
import { Counter, Gauge, type Registry } from 'prom-client'
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
  const registers = [registry]
  const ends = new Counter({
    name: 'millrace_engine_requests_total',
    help: 'Requests from Kafka that ended: answered, failed, poison (no request at all), lost (their gateway died).',
    labelNames: ['pipeline', 'outcome'] as const,
    registers,
  })
  new Gauge({
    name: 'millrace_engine_lag_records',
    help: 'Records of the inputs of a pipeline that are not done.',
    labelNames: ['pipeline'] as const,
    registers,
    collect() {
      this.reset()
      for (const [pipeline, records] of gauges.lag()) this.set({ pipeline }, records)
    },
  })
  const gauge = (name: string, help: string, value: () => number): void => {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  }
  gauge('millrace_engine_running_requests', 'Requests that run.', gauges.running)
  gauge('millrace_engine_pipelines', 'Pipelines whose inputs are read.', gauges.reading)
  gauge('millrace_engine_scheduler_connected', '1 while a scheduler is connected.', () => (gauges.connected() ? 1 : 0))
  return (pipeline, outcome) => {
    ends.inc({ pipeline, outcome })
  }
}
