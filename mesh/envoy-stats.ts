/** What Envoy's admin port says, read into plain values. Pure. Names are those of wasm-filter/README.md. */
import { type Static, type TSchema, Type } from 'typebox'
import { Value } from 'typebox/value'
import { ServingError } from '../kit/errors.ts'

/** One count of one model on one server replica. */
export interface ModelCount {
  readonly kind: 'requests' | 'microseconds'
  /** Of copies that a mirror got, for which nobody waited. */
  readonly isCopy: boolean
  readonly model: string
  readonly internalName: string
  /** `ip:port`, `_none` or `_other`. */
  readonly address: string
  readonly method: string
  readonly code: string
  readonly value: number
}

/** Copies that were never sent, because too many waited for the mirrors on one endpoint set. */
export interface DropCount {
  readonly kind: 'dropped'
  readonly endpointSet: string
  readonly method: string
  readonly value: number
}

/** How often something happened to the virtual machine of one Wasm plugin. */
export interface PluginCount {
  readonly kind: 'plugin'
  readonly plugin: string
  readonly outcome: string
  readonly value: number
}

/** All models of one server replica together. */
export interface DurationHistogram {
  readonly address: string
  readonly method: string
  readonly code: string
  readonly buckets: readonly { readonly lowerUs: number; readonly upperUs: number; readonly count: number }[]
}

export interface Counts {
  readonly models: readonly ModelCount[]
  readonly drops: readonly DropCount[]
  readonly plugins: readonly PluginCount[]
  /** Names of ours that could not be read. */
  readonly unreadable: number
}

/** Query strings for Envoy's `/stats`. */
export const COUNTERS_QUERY = statsQuery({
  type: 'Counters',
  filter: [
    '^wasmcustom\\.millrace\\.',
    '^wasm\\..*\\.vm_reload',
    '^cluster\\..*@mirror/(rest|grpc)\\.upstream_rq_(pending|active)_overflow$',
  ].join('|'),
})
export const HISTOGRAMS_QUERY = statsQuery({
  type: 'Histograms',
  histogram_buckets: 'detailed',
  filter: '^wasmcustom\\.millrace\\.(mirror_)?duration_us\\.',
})

export function statsQuery(parameters: Readonly<Record<string, string>>): string {
  return `/stats?${new URLSearchParams({ format: 'json', ...parameters }).toString()}`
}

const StatsSchema = Type.Object({
  stats: Type.Array(Type.Object({ name: Type.Optional(Type.String()), value: Type.Optional(Type.Unknown()) })),
})
const HistogramsSchema = Type.Object({
  stats: Type.Array(
    Type.Object({
      histograms: Type.Optional(
        Type.Object({
          details: Type.Array(
            Type.Object({
              name: Type.String(),
              totals: Type.Array(
                Type.Object({ lower_bound: Type.Number(), width: Type.Number(), count: Type.Number() }),
              ),
            }),
          ),
        }),
      ),
    }),
  ),
})
const ClustersSchema = Type.Object({
  cluster_statuses: Type.Optional(
    Type.Array(
      Type.Object({
        host_statuses: Type.Optional(
          Type.Array(
            Type.Object({
              hostname: Type.Optional(Type.String()),
              address: Type.Object({
                socket_address: Type.Optional(
                  Type.Object({ address: Type.String(), port_value: Type.Optional(Type.Number()) }),
                ),
              }),
            }),
          ),
        ),
      }),
    ),
  ),
})

/** Name and value of each statistic that is a number. @throws ServingError ENVOY_UNAVAILABLE */
export function parseStats(json: string): ReadonlyMap<string, number> {
  const found = new Map<string, number>()
  for (const { name, value } of parseAs(StatsSchema, json).stats)
    if (name !== undefined && typeof value === 'number') found.set(name, value)
  return found
}

/** @throws ServingError ENVOY_UNAVAILABLE */
export function parseCounts(json: string): Counts {
  const models: ModelCount[] = []
  const drops: DropCount[] = []
  const plugins: PluginCount[] = []
  let unreadable = 0
  for (const [name, value] of parseStats(json)) {
    if (name.startsWith(CANDIDATES)) continue
    const count = parseCount(name, value)
    if (count === undefined) unreadable += 1
    else if (count.kind === 'plugin') plugins.push(count)
    else if (count.kind === 'dropped') drops.push(count)
    else models.push(count)
  }
  return { models, drops, plugins, unreadable }
}

/** Read by `measure/`. */
const CANDIDATES = 'wasmcustom.millrace.candidate_'
const DROPPED = /^cluster\.(.+)@mirror\/(rest|grpc)\.upstream_rq_(?:pending|active)_overflow$/
const KINDS = new Map<string, Pick<ModelCount, 'kind' | 'isCopy'>>([
  ['requests', { kind: 'requests', isCopy: false }],
  ['microseconds', { kind: 'microseconds', isCopy: false }],
  ['mirror_requests', { kind: 'requests', isCopy: true }],
  ['mirror_microseconds', { kind: 'microseconds', isCopy: true }],
])
const PLUGIN = /^wasm\.(.+)\.vm_reload(?:_(\w+))?$/

function parseCount(name: string, value: number): ModelCount | DropCount | PluginCount | undefined {
  const [, plugin, outcome] = PLUGIN.exec(name) ?? []
  if (plugin !== undefined) return { kind: 'plugin', plugin, outcome: outcome ?? 'begun', value }
  const [, endpointSet, protocol] = DROPPED.exec(name) ?? []
  if (endpointSet !== undefined && protocol !== undefined)
    return { kind: 'dropped', endpointSet, method: protocol, value }
  const [prefix, owner, quantity = '', ...fields] = name.split('.')
  if (prefix !== 'wasmcustom' || owner !== 'millrace' || fields.length !== 5) return undefined
  const kind = KINDS.get(quantity)
  if (kind === undefined) return undefined
  const [model, internalName, address, method, code] = decode(fields)
  if (model === undefined || internalName === undefined || address === undefined) return undefined
  if (method === undefined || code === undefined) return undefined
  return { ...kind, model, internalName, address, method, code, value }
}

/** @throws ServingError ENVOY_UNAVAILABLE */
export function parseHistograms(json: string): DurationHistogram[] {
  return parseHistogramDetails(json).flatMap(({ name, buckets }) => {
    const [, , , ...fields] = name.split('.')
    const [address, method, code] = decode(fields)
    if (address === undefined || method === undefined || code === undefined) return []
    return [{ address, method, code, buckets }]
  })
}

/** Of histograms in microseconds, all since Envoy's start. @throws ServingError ENVOY_UNAVAILABLE */
export function parseHistogramDetails(
  json: string,
): readonly { readonly name: string; readonly buckets: DurationHistogram['buckets'] }[] {
  return parseAs(HistogramsSchema, json).stats.flatMap(({ histograms }) =>
    (histograms?.details ?? []).map(({ name, totals }) => ({
      name,
      buckets: totals.map(({ lower_bound, width, count }) => ({
        lowerUs: lower_bound,
        upperUs: lower_bound + width,
        count,
      })),
    })),
  )
}

/** From `ip:port` of an endpoint to its host name, which is `<server>/<replica>`. @throws ServingError ENVOY_UNAVAILABLE */
export function parseHosts(json: string): ReadonlyMap<string, string> {
  const hosts = new Map<string, string>()
  for (const cluster of parseAs(ClustersSchema, json).cluster_statuses ?? []) {
    for (const { hostname, address } of cluster.host_statuses ?? []) {
      const socket = address.socket_address
      if (hostname && socket) hosts.set(`${socket.address}:${String(socket.port_value ?? 0)}`, hostname)
    }
  }
  return hosts
}

/** Nothing, when one field is not valid text. */
function decode(fields: readonly string[]): string[] {
  try {
    return fields.map(decodeURIComponent)
  } catch {
    return [] // not one of ours: the filter encodes every name
  }
}

function parseAs<S extends TSchema>(schema: S, json: string): Static<S> {
  const refuse = (reason: string, cause?: unknown): ServingError =>
    new ServingError('ENVOY_UNAVAILABLE', `Envoy's admin port does not answer as Envoy does: ${reason}`, { cause })
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch (error) {
    throw refuse(String(error), error)
  }
  if (Value.Check(schema, parsed)) return parsed
  const [first] = Value.Errors(schema, parsed)
  throw refuse(`${first?.instancePath ?? ''} ${first?.message ?? ''}`)
}
