/** Counts and times of requests, under the names that users know, and what this gateway is busy with. */
import { Counter, Histogram, type Registry } from 'prom-client'
import { gaugesOf } from '../../kit/gauges.ts'
import { grpcCodeName } from '../../kit/grpc-codes.ts'
import type { PipelineEnd } from '../runner/pipeline-request.ts'

export type MethodType = 'rest' | 'grpc'

/** `pipeline` undefined: of a request to one that is not loaded, so that nobody can make names up. */
export type CountRequest = (
  method: MethodType,
  pipeline: string | undefined,
  end: PipelineEnd,
  durationMs: number,
) => void

export interface GatewayGauges {
  readonly running: () => number
  readonly held: () => number
  readonly connected: () => boolean
}

const SERVER = { server: 'pipeline-gateway' } as const
const UNKNOWN = '_unknown'
const SECONDS = 1_000
/** Of one value of the histogram. */
type Observed = Partial<Readonly<Record<'pipeline' | 'method' | 'code', string | number>>>

export function createGatewayMetrics(registry: Registry, gauges: GatewayGauges): CountRequest {
  const registers = [registry]
  const histogram = new Histogram({
    name: 'seldon_pipeline_infer_api_seconds',
    help: 'Durations of requests.',
    labelNames: ['server', 'pipeline', 'method', 'code'] as const,
    registers,
  })
  /** What a scrape is told is added up from the histogram then, so that a request costs one observation. */
  const counter = <L extends string>(
    name: string,
    help: string,
    what: 'count' | 'sum',
    labelNames: readonly L[],
    toLabels: (labels: Observed) => Readonly<Record<L, string | number>>,
  ): void => {
    new Counter({
      name,
      help,
      labelNames,
      registers,
      async collect() {
        const { values } = await histogram.get()
        this.reset() // with what follows in one turn, as several may ask at the same time
        for (const { metricName, labels, value } of values)
          if (metricName?.endsWith(`_${what}`) === true) this.inc(toLabels(labels), value)
      },
    })
  }
  const perCode = ['server', 'pipeline', 'method_type', 'code'] as const
  const perMethod = ['server', 'method_type'] as const
  const toCode = ({ pipeline = '', method = '', code = '' }: Observed) => ({
    ...SERVER,
    pipeline,
    method_type: method,
    code,
  })
  const toMethod = ({ method = '' }: Observed) => ({ ...SERVER, method_type: method })
  counter('seldon_pipeline_infer_total', 'Requests per pipeline.', 'count', perCode, toCode)
  counter('seldon_pipeline_infer_seconds_total', 'Their durations.', 'sum', perCode, toCode)
  counter('seldon_pipeline_aggregate_infer_total', 'Requests of all pipelines.', 'count', perMethod, toMethod)
  counter('seldon_pipeline_aggregate_infer_seconds_total', 'Their durations.', 'sum', perMethod, toMethod)
  const gauge = gaugesOf(registry)
  gauge.one(
    'millrace_pipeline_gateway_running_requests',
    'Requests that run, what goes on after an answer included.',
    gauges.running,
  )
  gauge.one('millrace_pipeline_gateway_pipelines', 'Pipeline versions that are held.', gauges.held)
  gauge.one('millrace_pipeline_gateway_scheduler_connected', '1 while a scheduler is connected.', () =>
    Number(gauges.connected()),
  )

  return (method, name, end, durationMs) => {
    const labels = { server: SERVER.server, pipeline: name ?? UNKNOWN, method, code: codeOf(method, end) }
    histogram.observe(labels, durationMs / SECONDS)
  }
}

function codeOf(method: MethodType, end: PipelineEnd): string {
  if (method === 'rest') return end.kind === 'answered' ? '200' : String(end.failure.httpStatus)
  return grpcCodeName(String(end.kind === 'answered' ? 0 : end.failure.grpcStatus))
}
