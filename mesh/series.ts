/** From Envoy's counts to the series users know: names, labels and seconds. Pure. */
import { grpcCodeName } from '../kit/grpc-codes.ts'
import type { Counts, DurationHistogram, ModelCount } from './envoy-stats.ts'
import type { MetricFamily, Sample } from './prometheus.ts'

export interface EnvoyReading {
  readonly counts: Counts
  readonly histograms: readonly DurationHistogram[]
  /** From `ip:port` to `<server>/<replica>` or `<server>/<replica>@agent`, replicas that have left since included. */
  readonly hosts: ReadonlyMap<string, string>
}

type Labels = Readonly<Record<string, string>>

const BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const
const MICROSECONDS = 1_000_000

/** Ends the name of an agent's proxy. */
const THROUGH_AGENT = '@agent'

/**
 * A model did what its copies asked of it, so they are in its series too, as they are in those of an agent; they have names of their own
 * besides. What went through an agent's proxy the agent exports itself under the names that users know; here it has names of its own,
 * so that scraping both counts nothing twice.
 */
export function toFamilies({ counts, histograms, hosts }: EnvoyReading): MetricFamily[] {
  const isThroughAgent = ({ address }: { readonly address: string }) => hosts.get(address)?.endsWith(THROUGH_AGENT)
  const requests = counts.models.filter((count) => count.kind === 'requests' && !isThroughAgent(count))
  const durations = counts.models.filter((count) => count.kind === 'microseconds' && !isThroughAgent(count))
  const throughAgent = counts.models.filter(isThroughAgent)
  const perModel = (count: ModelCount): Labels => ({
    ...toReplica(count.address, hosts),
    model: count.model,
    model_internal: count.internalName,
    method_type: count.method,
    code: toCode(count.method, count.code),
  })
  const perReplica = (count: ModelCount): Labels => ({
    ...toReplica(count.address, hosts),
    method_type: count.method,
  })
  const one = (count: ModelCount): number => count.value
  const seconds = (count: ModelCount): number => count.value / MICROSECONDS
  const counter = (name: string, help: string, samples: readonly Sample[]): MetricFamily => ({
    name,
    help,
    type: 'counter',
    samples,
  })
  const copies = counts.models.filter(({ isCopy }) => isCopy)
  return [
    counter('seldon_model_infer_total', 'Requests per model.', sumBy(requests, perModel, one)),
    counter('seldon_model_infer_seconds_total', 'Their durations.', sumBy(durations, perModel, seconds)),
    counter('seldon_model_aggregate_infer_total', 'Requests per server replica.', sumBy(requests, perReplica, one)),
    counter('seldon_model_aggregate_infer_seconds_total', 'Their durations.', sumBy(durations, perReplica, seconds)),
    {
      name: 'seldon_model_infer_api_seconds',
      help: 'Durations of requests, all models of a server replica together.',
      type: 'histogram',
      samples: toHistograms(
        histograms.filter((histogram) => !isThroughAgent(histogram)),
        hosts,
      ),
    },
    counter(
      'millrace_mesh_agent_path_requests_total',
      "Requests sent to agents' proxies, answered or not; the agents' own series have those that arrived.",
      sumBy(
        throughAgent.filter(({ kind }) => kind === 'requests'),
        perModel,
        one,
      ),
    ),
    counter(
      'millrace_mesh_agent_path_seconds_total',
      'Their durations.',
      sumBy(
        throughAgent.filter(({ kind }) => kind === 'microseconds'),
        perModel,
        seconds,
      ),
    ),
    counter(
      'millrace_mesh_mirror_requests_total',
      'Copies that mirrors of experiments got; code 0, in gRPC Unavailable: no answer came.',
      sumBy(
        copies.filter(({ kind }) => kind === 'requests'),
        perModel,
        one,
      ),
    ),
    counter(
      'millrace_mesh_mirror_seconds_total',
      'Their durations.',
      sumBy(
        copies.filter(({ kind }) => kind === 'microseconds'),
        perModel,
        seconds,
      ),
    ),
    counter(
      'millrace_mesh_mirror_dropped_total',
      'Copies that were not sent, because too many waited for the mirrors on these replicas.',
      sumBy(
        counts.drops,
        ({ endpointSet, method }) => ({ endpoint_set: endpointSet, method_type: method }),
        ({ value }) => value,
      ),
    ),
    counter(
      'millrace_wasm_vm_reloads_total',
      'Wasm virtual machines that failed and were replaced; any increase is a bug in a filter.',
      counts.plugins.map(({ plugin, outcome, value }) => ({ labels: { plugin, outcome }, value })),
    ),
    {
      name: 'millrace_mesh_unreadable_series',
      help: "Series of Envoy's that have our prefix and are not understood.",
      type: 'gauge',
      samples: [{ labels: {}, value: counts.unreadable }],
    },
  ]
}

/** A replica that Envoy never named to us keeps its address; requests that reached none are `_none`. */
function toReplica(address: string, hosts: ReadonlyMap<string, string>): Labels {
  const host = hosts.get(address)
  if (host !== undefined) {
    const slash = host.lastIndexOf('/')
    const index = host.slice(slash + 1)
    return { server: slash < 0 ? host : host.slice(0, slash), server_replica: index.replace(THROUGH_AGENT, '') }
  }
  return address.startsWith('_')
    ? { server: address, server_replica: '' }
    : { server: '_unknown', server_replica: address }
}

function toCode(method: string, code: string): string {
  return method === 'grpc' ? grpcCodeName(code) : code
}

/** One sample for each set of labels, in a stable order: two addresses may be the same replica. */
function sumBy<T>(counts: readonly T[], labelsOf: (count: T) => Labels, valueOf: (count: T) => number): Sample[] {
  const sums = new Map<string, { labels: Labels; value: number }>()
  for (const count of counts) {
    const labels = labelsOf(count)
    const key = JSON.stringify(labels)
    const sum = sums.get(key)
    if (sum) sum.value += valueOf(count)
    else sums.set(key, { labels, value: valueOf(count) })
  }
  return [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, sample]) => sample)
}

/**
 * Everything from Envoy's own histogram, which lags behind the counters by its flush interval: a count from here and a
 * sum from there would not belong together. So the sum is that of the middles of its buckets, at most 5 % off.
 */
function toHistograms(histograms: readonly DurationHistogram[], hosts: ReadonlyMap<string, string>): Sample[] {
  const labelsOf = ({ address, method, code }: DurationHistogram): Labels => ({
    ...toReplica(address, hosts),
    method,
    code: toCode(method, code),
  })
  const below = (limitUs: number) => (histogram: DurationHistogram) =>
    histogram.buckets.reduce((sum, { upperUs, count }) => (upperUs <= limitUs ? sum + count : sum), 0)
  const sumSeconds = ({ buckets }: DurationHistogram): number =>
    buckets.reduce((sum, { lowerUs, upperUs, count }) => sum + (count * (lowerUs + upperUs)) / 2, 0) / MICROSECONDS
  const labelled = (bound: string) => (histogram: DurationHistogram) => ({ ...labelsOf(histogram), le: bound })
  return [
    ...BUCKETS_SECONDS.flatMap((bound) =>
      withSuffix('_bucket', sumBy(histograms, labelled(String(bound)), below(bound * MICROSECONDS))),
    ),
    ...withSuffix('_bucket', sumBy(histograms, labelled('+Inf'), below(Infinity))),
    ...withSuffix('_sum', sumBy(histograms, labelsOf, sumSeconds)),
    ...withSuffix('_count', sumBy(histograms, labelsOf, below(Infinity))),
  ]
}

const withSuffix = (suffix: string, samples: readonly Sample[]): Sample[] =>
  samples.map((sample) => ({ ...sample, suffix }))
