/** Counts and times of requests, under the names that users know, and what this gateway is busy with. */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
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

export function createGatewayMetrics(registry: Registry, gauges: GatewayGauges): CountRequest {
  const registers = [registry]
  const perCode = ['server', 'pipeline', 'method_type', 'code'] as const
  const total = new Counter({
    name: 'seldon_pipeline_infer_total',
    help: 'Requests per pipeline.',
    labelNames: perCode,
    registers,
  })
  const seconds = new Counter({
    name: 'seldon_pipeline_infer_seconds_total',
    help: 'Their durations.',
    labelNames: perCode,
    registers,
  })
  const perMethod = ['server', 'method_type'] as const
  const aggregate = new Counter({
    name: 'seldon_pipeline_aggregate_infer_total',
    help: 'Requests of all pipelines.',
    labelNames: perMethod,
    registers,
  })
  const aggregateSeconds = new Counter({
    name: 'seldon_pipeline_aggregate_infer_seconds_total',
    help: 'Their durations.',
    labelNames: perMethod,
    registers,
  })
  const histogram = new Histogram({
    name: 'seldon_pipeline_infer_api_seconds',
    help: 'Durations of requests.',
    labelNames: ['server', 'pipeline', 'method', 'code'] as const,
    registers,
  })
  new Gauge({
    name: 'millrace_pipeline_gateway_running_requests',
    help: 'Requests that run, what goes on after an answer included.',
    registers,
    collect() {
      this.set(gauges.running())
    },
  })
  new Gauge({
    name: 'millrace_pipeline_gateway_pipelines',
    help: 'Pipeline versions that are held.',
    registers,
    collect() {
      this.set(gauges.held())
    },
  })
  new Gauge({
    name: 'millrace_pipeline_gateway_scheduler_connected',
    help: '1 while a scheduler is connected.',
    registers,
    collect() {
      this.set(gauges.connected() ? 1 : 0)
    },
  })

  return (method, name, end, durationMs) => {
    const pipeline = name ?? UNKNOWN
    const code = codeOf(method, end)
    const duration = durationMs / SECONDS
    total.inc({ ...SERVER, pipeline, method_type: method, code })
    seconds.inc({ ...SERVER, pipeline, method_type: method, code }, duration)
    aggregate.inc({ ...SERVER, method_type: method })
    aggregateSeconds.inc({ ...SERVER, method_type: method }, duration)
    histogram.observe({ ...SERVER, pipeline, method, code }, duration)
  }
}

function codeOf(method: MethodType, end: PipelineEnd): string {
  if (method === 'rest') return end.kind === 'answered' ? '200' : String(end.failure.httpStatus)
  return grpcCodeName(String(end.kind === 'answered' ? 0 : end.failure.grpcStatus))
}
