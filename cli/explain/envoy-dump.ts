/** What an Envoy has, from its admin port's dumps: the router's table, the route of a target, the hosts of a cluster. Pure. */

export interface Destination {
  /** As the model is called inside servers; empty for calls about the mesh. */
  readonly internalName: string
  readonly cluster: string
  readonly weightPercent: number
}

/** Where copies of some requests go; nobody waits for their answers. */
export interface Copies {
  readonly internalName: string
  readonly cluster: string
  readonly percent: number
}

export interface HostState {
  readonly address: string
  /** HEALTHY, UNHEALTHY, DRAINING, ... as the scheduler told it; or why Envoy itself avoids it. */
  readonly health: string
}

/** What a shard's table says of a target. */
export type EnvoyRoute =
  | { readonly kind: 'destinations'; readonly destinations: readonly Destination[] }
  | { readonly kind: 'reply'; readonly httpStatus: number }
  | { readonly kind: 'unknown' }

type Json = unknown

/** Follows names and indices; undefined where there is nothing. */
function at(value: Json, ...path: readonly (string | number)[]): Json {
  let here = value
  for (const step of path) {
    if (typeof here !== 'object' || here === null) return undefined
    here = (here as Readonly<Record<string | number, unknown>>)[step]
  }
  return here
}
const list = (value: Json): readonly Json[] => (Array.isArray(value) ? (value as readonly Json[]) : [])
const text = (value: Json): string => (typeof value === 'string' ? value : '')

/** Of `/config_dump?resource=ecds_filters`; undefined when this Envoy has no router of ours (yet). */
export function routerTableOf(dump: Json): string | undefined {
  const filters = list(at(dump, 'configs')).map((config) => at(config, 'ecds_filter'))
  const router = filters.find((filter) => at(filter, 'name') === 'router')
  const value = at(router, 'typed_config', 'config', 'configuration', 'value')
  return typeof value === 'string' ? value : undefined
}

/** Of `/config_dump?resource=dynamic_route_configs`, filtered or not. */
export function routeOf(dump: Json, shard: number, target: string, protocol: 'rest' | 'grpc'): EnvoyRoute {
  const table = tableOf(dump, shard)
  const found = entryOf(table, shard, target)
  if (found === undefined) return { kind: 'unknown' }
  const route = isRouteList(found) ? (list(at(found, 'routes')).find((one) => takes(one, protocol)) ?? {}) : found
  const status = at(route, 'direct_response', 'status')
  if (typeof status === 'number') return { kind: 'reply', httpStatus: status }
  return { kind: 'destinations', destinations: destinationsOf(route, table, protocol) }
}

const tableOf = (dump: Json, shard: number): Json =>
  list(at(dump, 'configs'))
    .map((config) => at(config, 'route_config'))
    .find((table) => at(table, 'name') === `shard-${String(shard)}`)

function entryOf(table: Json, shard: number, target: string): Json {
  const map = at(table, 'virtual_hosts', 0, 'matcher', 'matcher_tree', 'exact_match_map', 'map')
  return at(map, `${target}?${String(shard)}`, 'action', 'typed_config')
}

const isRouteList = (route: Json): boolean => text(at(route, '@type')).endsWith('.RouteList')

/** Of a list the routes that also mirror lead to the same places; of the rest the first takes gRPC, the last what is left. */
function takes(route: Json, protocol: string): boolean {
  if (at(route, 'match', 'headers') !== undefined) return false
  return protocol === 'grpc' || at(route, 'match', 'prefix') === '/'
}

function destinationsOf(route: Json, table: Json, protocol: string): readonly Destination[] {
  const weighted = list(at(route, 'route', 'weighted_clusters', 'clusters'))
  if (weighted.length === 0) {
    const cluster = clusterOf(table, text(at(route, 'route', 'cluster_specifier_plugin')), protocol)
    return [{ internalName: internalNameOf(route), cluster, weightPercent: 100 }]
  }
  const weightOf = (cluster: Json): number => Number(at(cluster, 'weight') ?? 0)
  const sum = weighted.reduce<number>((total, cluster) => total + weightOf(cluster), 0)
  return weighted.map((cluster) => ({
    internalName: internalNameOf(cluster),
    cluster: text(at(cluster, 'name')),
    weightPercent: (100 * weightOf(cluster)) / sum,
  }))
}

function internalNameOf(entry: Json): string {
  const headers = list(at(entry, 'request_headers_to_add')).map((added) => at(added, 'header'))
  return text(
    at(
      headers.find((header) => at(header, 'key') === 'seldon-internal-model'),
      'value',
    ),
  )
}

/** The plugin of an endpoint set picks its cluster by protocol. */
function clusterOf(table: Json, plugin: string, protocol: string): string {
  const extensions = list(at(table, 'cluster_specifier_plugins')).map((entry) => at(entry, 'extension'))
  const matcher = at(
    extensions.find((extension) => at(extension, 'name') === plugin),
    'typed_config',
    'cluster_matcher',
  )
  const grpc = at(matcher, 'matcher_tree', 'prefix_match_map', 'map', '/inference.GRPCInferenceService/')
  return text(at(protocol === 'grpc' ? grpc : at(matcher, 'on_no_match'), 'action', 'typed_config', 'cluster'))
}

/** Of the same dump: what is copied of requests that come to this target by the split of another one. */
export function copiesOf(
  dump: Json,
  { shard, target }: { readonly shard: number; readonly target: string },
  protocol: 'rest' | 'grpc',
  split: string,
): readonly Copies[] {
  return list(at(entryOf(tableOf(dump, shard), shard, target), 'routes'))
    .filter((route) => isOfSplit(route, split))
    .flatMap((route) => list(at(route, 'route', 'request_mirror_policies')).map(toCopies))
    .filter(({ cluster }) => cluster.endsWith(`/${protocol}`))
}

const isOfSplit = (route: Json, split: string): boolean =>
  list(at(route, 'match', 'headers')).some((header) => at(header, 'string_match', 'exact') === split)

function toCopies(policy: Json): Copies {
  const share = at(policy, 'runtime_fraction', 'default_value')
  const names = list(at(policy, 'request_headers_mutations')).map((mutation) =>
    at(mutation, 'append', 'header', 'value'),
  )
  return {
    internalName: text(names[0]),
    cluster: text(at(policy, 'cluster')),
    percent: Number(at(share, 'numerator') ?? 0) / (at(share, 'denominator') === 'MILLION' ? 10_000 : 1),
  }
}

/** Of `/clusters?format=json`; undefined when Envoy does not know the cluster. */
export function hostsOf(dump: Json, cluster: string): readonly HostState[] | undefined {
  const found = list(at(dump, 'cluster_statuses')).find((status) => at(status, 'name') === cluster)
  return found === undefined ? undefined : list(at(found, 'host_statuses')).map(hostOf)
}

function hostOf(host: Json): HostState {
  const address = at(host, 'address', 'socket_address')
  const health = at(host, 'health_status')
  const own = Object.entries(typeof health === 'object' && health !== null ? health : {}).flatMap(([name, value]) =>
    value === true ? [name.replaceAll('_', ' ')] : [],
  )
  return {
    address: `${text(at(address, 'address'))}:${String(Number(at(address, 'port_value') ?? 0))}`,
    health: [text(at(health, 'eds_health_status')) || 'HEALTHY', ...own].join(', '),
  }
}
