/** The baseline: an Envoy with Millrace's own listener and clusters, less the Wasm filters, scopes and discovery. */
import type { EndpointSetIr } from '../../xds/ir/types.ts'
import type { Json } from '../../xds/proto/encode.ts'
import { toCluster } from '../../xds/translate/clusters.ts'
import { toEndpoints } from '../../xds/translate/endpoints.ts'
import { toListener } from '../../xds/translate/listener.ts'
import { clusterName, type Protocol } from '../../xds/translate/names.ts'

export interface PlainEnvoyOptions {
  readonly ingressPort: number
  readonly adminPort: number
  readonly restPort: number
  readonly grpcPort: number
}

const HOST = '127.0.0.1'
const MAX_REQUEST_BYTES = 100 * 1024 * 1024
const ROUTER_FILTER = 'envoy.filters.http.router'

/** Bootstrap JSON with one static route a protocol. Everything it shares with Millrace comes from Millrace's translators. */
export function toPlainBootstrap(options: PlainEnvoyOptions): string {
  const set: EndpointSetIr = {
    id: 'plain',
    nameSource: 'header',
    endpoints: [
      { id: 'plain/0', address: HOST, restPort: options.restPort, grpcPort: options.grpcPort, health: 'healthy' },
    ],
  }
  return JSON.stringify({
    admin: { address: { socket_address: { address: HOST, port_value: options.adminPort } } },
    static_resources: {
      listeners: [
        withStaticRoutes(
          toListener({
            host: HOST,
            port: options.ingressPort,
            wasmFolder: '/',
            router: { shards: 256, maxModels: 1, maxRequestBytes: MAX_REQUEST_BYTES },
          }),
          set.id,
        ),
      ],
      clusters: (['rest', 'grpc'] as const).map((protocol) => toStaticCluster(set, protocol)),
    },
  })
}

function toStaticCluster(set: EndpointSetIr, protocol: Protocol): Json {
  const { eds_cluster_config: _, ...cluster } = toCluster(set, protocol, '/') as Record<string, Json>
  return { ...cluster, type: 'STATIC', load_assignment: toEndpoints(set, protocol) } as Json
}

function withStaticRoutes(listener: Json, setId: string): Json {
  const copy = structuredClone(listener) as unknown as {
    filter_chains: { filters: { typed_config: Record<string, unknown> & { http_filters: { name: string }[] } }[] }[]
  }
  const manager = copy.filter_chains[0]?.filters[0]?.typed_config
  if (manager === undefined) throw new Error('the listener has no connection manager')
  manager.http_filters = manager.http_filters.filter((filter) => filter.name === ROUTER_FILTER)
  delete manager['scoped_routes']
  const route = (protocol: Protocol, match: object): object => ({
    match: { prefix: '/', ...match },
    route: { cluster: clusterName(setId, protocol), timeout: '0s' },
  })
  manager['route_config'] = {
    virtual_hosts: [
      {
        name: 'all',
        domains: ['*'],
        routes: [
          route('grpc', { headers: [{ name: 'content-type', string_match: { prefix: 'application/grpc' } }] }),
          route('rest', {}),
        ],
      },
    ],
  }
  return copy as unknown as Json
}
