import { Counter, Histogram, type Registry } from 'prom-client'
import { gaugesOf } from '../../kit/gauges.ts'

/** `poison` had no form that we know; `failed` was refused by the model, or waited too long for it. */
export type RecordOutcome = 'answered' | 'failed' | 'poison'

export interface ModelGatewayGauges {
  /** Model to records. */
  readonly lag: () => ReadonlyMap<string, number>
  readonly running: () => ReadonlyMap<string, number>
  readonly connected: () => boolean
}

export interface ModelGatewayMetrics {
  readonly ended: (model: string, outcome: RecordOutcome, seconds: number) => void
  readonly retried: (model: string) => void
}

export function createModelGatewayMetrics(registry: Registry, gauges: ModelGatewayGauges): ModelGatewayMetrics {
  const registers = [registry]
  const gauge = gaugesOf(registry)
  gauge.per('model', 'millrace_model_gateway_lag_records', "Records on a model's inputs that are not done.", gauges.lag)
  gauge.per('model', 'millrace_model_gateway_running_calls', 'Calls of a model that run.', gauges.running)
  gauge.one('millrace_model_gateway_scheduler_connected', '1 while a scheduler is connected.', () =>
    Number(gauges.connected()),
  )
  const records = new Counter({
    name: 'millrace_model_gateway_records_total',
    help: 'Records that were done, by how they ended: answered, failed, poison.',
    labelNames: ['model', 'outcome'] as const,
    registers,
  })
  const retries = new Counter({
    name: 'millrace_model_gateway_retries_total',
    help: 'Calls that found a model absent: their records waited.',
    labelNames: ['model'] as const,
    registers,
  })
  const seconds = new Histogram({
    name: 'millrace_model_gateway_record_seconds',
    help: 'From taking a record to the acknowledgement of what it caused.',
    registers,
  })
  return {
    ended: (model, outcome, took) => {
      records.inc({ model, outcome })
      seconds.observe(took)
    },
    retried: (model) => {
      retries.inc({ model })
    },
  }
}
