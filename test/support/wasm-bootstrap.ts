/**
 * A static Envoy bootstrap around the Wasm filters, with the filter, cluster and route shapes of `xds/translate` but no control
 * plane. `plain` is the same listener with two static routes and no Wasm, to compare with.
 */
import { join } from 'node:path'
import type { Json } from '../../xds/proto/encode.ts'
import type { EndpointSetIr, RouteIr } from '../../xds/ir/types.ts'
import { toCluster } from '../../xds/translate/clusters.ts'
import { toRouterFilter } from '../../xds/translate/extension-config.ts'
import { toListener } from '../../xds/translate/listener.ts'
import { matchAction, matchTarget } from '../../xds/translate/matcher.ts'
import { PROTOCOLS, ROUTER_CONFIG_NAME, typeUrl } from '../../xds/translate/names.ts'
import { toClusterSpecifier, toRoute } from '../../xds/translate/route.ts'
import { SCOPE_KEY } from '../../xds/translate/scoped-routes.ts'
import { shardOf } from '../../xds/translate/shard.ts'

export const WASM_FOLDER = join(import.meta.dirname, '../../wasm-filter/build')
const SHARDS = 256
const ROUTER = { shards: SHARDS, maxModels: 2_000, maxRequestBytes: 1e8 }

export interface BootstrapOptions {
  readonly listenPort: number
  readonly adminPort: number
  readonly routes: readonly RouteIr[]
  /** The one set of endpoints, with the id `servers`. */
  readonly servers: EndpointSetIr
  /** The folder of the modules. */
  readonly wasmFolder?: string
  readonly plain?: boolean
  /** The router's configuration comes from this file (ECDS) instead of standing in the listener. */
  readonly routerTableFile?: string
}

/** The bootstrap, to be written as JSON. */
export function toStaticBootstrap(options: BootstrapOptions): Json {
  const wasmFolder = options.wasmFolder ?? WASM_FOLDER
  const listener = toListener({
    host: '127.0.0.1',
    port: options.listenPort,
    wasmFolder,
    router: ROUTER,
  })
  const manager = connectionManagerOf(listener)
  const routes = options.plain ? { route_config: PLAIN_ROUTES } : { scoped_routes: toScopes(options.routes) }
  delete manager['scoped_routes']
  Object.assign(manager, routes, {
    http_filters: filtersOf(manager).flatMap((filter) => {
      if (options.plain && filter['name'] === 'router') return []
      return [filter['name'] === 'router' ? routerFilter(options, wasmFolder) : filter]
    }),
  })
  return {
    node: { id: 'static', cluster: 'static' },
    admin: { address: socketAddress(options.adminPort) },
    static_resources: {
      listeners: [listener],
      clusters: PROTOCOLS.map((protocol) =>
        toStaticCluster(options.servers, protocol, wasmFolder, options.plain === true),
      ),
    },
  }
}

/** As the control plane has it, but without it: in place, or from a file that is watched. */
function routerFilter({ routerTableFile }: BootstrapOptions, wasmFolder: string): Record<string, unknown> {
  if (routerTableFile === undefined) return { name: 'router', typed_config: toRouterFilter(ROUTER, [], wasmFolder) }
  return {
    name: ROUTER_CONFIG_NAME,
    config_discovery: {
      config_source: { path_config_source: { path: routerTableFile }, resource_api_version: 'V3' },
      type_urls: [typeUrl('envoy.extensions.filters.http.wasm.v3.Wasm')],
    },
  }
}

function connectionManagerOf(listener: Json): Record<string, unknown> {
  const { filter_chains } = listener as { filter_chains: { filters: { typed_config: Record<string, unknown> }[] }[] }
  const manager = filter_chains[0]?.filters[0]?.typed_config
  if (manager === undefined) throw new Error('the listener has no connection manager')
  return manager
}

const filtersOf = (manager: Record<string, unknown>) => manager['http_filters'] as Record<string, unknown>[]

const socketAddress = (port: number) => ({ socket_address: { address: '127.0.0.1', port_value: port } })

function toStaticCluster(set: EndpointSetIr, protocol: 'rest' | 'grpc', wasmFolder: string, plain: boolean): Json {
  const { eds_cluster_config: _eds, ...cluster } = toCluster(
    plain ? { ...set, nameSource: 'header' } : set,
    protocol,
    wasmFolder,
  ) as Record<string, unknown>
  const endpoints = set.endpoints.map((endpoint) => ({
    endpoint: { address: socketAddress(protocol === 'rest' ? endpoint.restPort : endpoint.grpcPort) },
  }))
  return {
    ...cluster,
    type: 'STATIC',
    load_assignment: { cluster_name: cluster['name'], endpoints: [{ lb_endpoints: endpoints }] },
  } as Json
}

/** All 256 scopes, as the control plane keeps them, each with its map of targets. */
function toScopes(routes: readonly RouteIr[]): unknown {
  const byShard = new Map<number, RouteIr[]>()
  for (const route of routes) {
    const shard = shardOf(route.target, SHARDS)
    byShard.set(shard, [...(byShard.get(shard) ?? []), route])
  }
  return {
    name: 'shards',
    scope_key_builder: SCOPE_KEY,
    scoped_route_configurations_list: {
      scoped_route_configurations: Array.from({ length: SHARDS }, (_, shard) => ({
        name: `shard-${String(shard)}`,
        key: { fragments: [{ string_key: String(shard) }] },
        route_configuration: toShard(shard, byShard.get(shard) ?? []),
      })),
    },
  }
}

function toShard(shard: number, routes: readonly RouteIr[]): unknown {
  const actions = new Map(routes.map((route) => [route.target, matchAction('route', toRoute(route))]))
  return {
    name: `shard-${String(shard)}`,
    cluster_specifier_plugins: [toClusterSpecifier('servers')],
    virtual_hosts: [
      {
        name: 'targets',
        domains: ['*'],
        matcher: {
          ...(routes.length > 0 ? matchTarget(shard, actions) : {}),
          on_no_match: matchAction('none', NOT_FOUND),
        },
      },
    ],
  }
}

const NOT_FOUND = {
  '@type': typeUrl('envoy.config.route.v3.Route'),
  match: { prefix: '/' },
  direct_response: {
    status: 404,
    body_format: { json_format: { error: 'no route for "%REQ(X-MILLRACE-TARGET)%"' } },
  },
}

const PLAIN_ROUTES = {
  name: 'plain',
  virtual_hosts: [
    {
      name: 'all',
      domains: ['*'],
      routes: [
        {
          match: { prefix: '/', headers: [{ name: 'content-type', string_match: { prefix: 'application/grpc' } }] },
          route: { cluster: 'servers/grpc', timeout: '0s' },
        },
        { match: { prefix: '/' }, route: { cluster: 'servers/rest', timeout: '0s' } },
      ],
    },
  ],
}
