/**
 * The series of what passes the proxy, with the names and labels of `millrace mesh-metrics`, which leaves these requests out
 * of its own: scrape both, and sums are right.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { grpcCodeName } from '../../kit/grpc-codes.ts'
import type { EndedCall, ModelUse } from './traffic.ts'

/** Models that are told apart, as in the router filter; the rest counts as `_other`. */
const MAX_MODELS = 2_000
const OTHER = '_other'
const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

/** Registers everything; the returned function counts a call that has ended. */
export function createTrafficMetrics(options: {
  readonly registry: Registry
  readonly serverName: string
  readonly replicaIndex: number
  readonly uses: () => ReadonlyMap<string, ModelUse>
}): (call: EndedCall) => void {
  const registers = [options.registry]
  const replica = { server: options.serverName, server_replica: String(options.replicaIndex) }
  const replicaLabels = ['server', 'server_replica'] as const
  const modelLabels = [...replicaLabels, 'model', 'model_internal', 'method_type', 'code'] as const
  const aggregateLabels = [...replicaLabels, 'method_type'] as const

  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name, help, labelNames, registers })
  const requests = counter('seldon_model_infer_total', 'Requests per model.', modelLabels)
  const seconds = counter('seldon_model_infer_seconds_total', 'Their durations.', modelLabels)
  const allRequests = counter('seldon_model_aggregate_infer_total', 'Requests per server replica.', aggregateLabels)
  const allSeconds = counter('seldon_model_aggregate_infer_seconds_total', 'Their durations.', aggregateLabels)
  const durations = new Histogram({
    name: 'seldon_model_infer_api_seconds',
    help: 'Durations of requests, all models of a server replica together.',
    labelNames: [...replicaLabels, 'method', 'code'],
    buckets: BUCKETS_SECONDS,
    registers,
  })
  const perUse = (name: string, help: string, read: (use: ModelUse) => number) =>
    new Gauge({
      name,
      help,
      labelNames: [...replicaLabels, 'model_internal'],
      registers,
      collect() {
        this.reset()
        for (const [internalName, use] of [...options.uses()].slice(-MAX_MODELS))
          this.set({ ...replica, model_internal: internalName }, read(use))
      },
    })
  perUse('millrace_agent_model_in_flight', 'Requests that are in the proxy.', ({ inFlight }) => inFlight)
  perUse(
    'millrace_agent_model_last_used_seconds',
    'When a request last began or ended, in seconds since 1970.',
    ({ lastUsedMs }) => lastUsedMs / 1_000,
  )

  const named = new Set<string>()
  const told = (internalName: string): string => {
    if (named.has(internalName)) return internalName
    if (named.size >= MAX_MODELS) return OTHER
    named.add(internalName)
    return internalName
  }

  return (call) => {
    const internalName = told(call.internalName)
    const code = call.protocol === 'grpc' ? grpcCodeName(call.code) : call.code
    const method_type = call.protocol
    const model = { ...replica, model: toModel(internalName), model_internal: internalName, method_type, code }
    requests.inc(model)
    seconds.inc(model, call.seconds)
    allRequests.inc({ ...replica, method_type })
    allSeconds.inc({ ...replica, method_type }, call.seconds)
    durations.observe({ ...replica, method: call.protocol, code }, call.seconds)
  }
}

/** `iris_3` is of `iris`; what has no version is its own. */
function toModel(internalName: string): string {
  const version = internalName.lastIndexOf('_')
  return version <= 0 ? internalName : internalName.slice(0, version)
}
