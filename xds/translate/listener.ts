import type { Json } from '../proto/encode.ts'
import { toAccessLog } from './access-log.ts'
import { toRouterFilter } from './extension-config.ts'
import { ADS, LISTENER_NAME, ROUTER_CONFIG_NAME, typeUrl } from './names.ts'
import type { RouterOptions } from './router-table.ts'
import { SCOPE_KEY } from './scoped-routes.ts'
import { type IngressTls, toIngressSocket, type UpstreamTls } from './tls.ts'

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  /** The folder of the compiled filters, as Envoy sees it. */
  readonly wasmFolder: string
  readonly router: RouterOptions
  /** Of endpoints that speak TLS: what their certificates are checked by. */
  readonly upstreamTls?: UpstreamTls
  /** Absent: the one port speaks plain text. */
  readonly ingressTls?: IngressTls
}

/** LDS: the one port for REST and gRPC. It holds no routes and no splits, so it never changes while Envoy runs. */
export function toListener(options: ListenerOptions): Json {
  return {
    name: LISTENER_NAME,
    address: { socket_address: { address: options.host, port_value: options.port } },
    filter_chains: [
      {
        filters: [
          { name: 'envoy.filters.network.http_connection_manager', typed_config: toConnectionManager(options) },
        ],
        ...(options.ingressTls === undefined ? {} : { transport_socket: toIngressSocket(options.ingressTls) }),
      },
    ],
  }
}

function toConnectionManager(options: ListenerOptions): Json {
  return {
    '@type': typeUrl('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: LISTENER_NAME,
    stream_idle_timeout: '300s',
    normalize_path: true, // so that "/v2/models/a/../../repository/index" is judged as what a server would make of it
    use_remote_address: true, // a client's x-envoy-* headers are not ours: retries are decided here
    ...REQUEST_ID,
    access_log: toAccessLog(),
    scoped_routes: SCOPED_ROUTES,
    http_protocol_options: { enable_trailers: true }, // pipeline gateways speak gRPC over HTTP/1.1: its status is one
    http_filters: [
      toDiscoveredRouter(options),
      {
        name: 'envoy.filters.http.router',
        typed_config: {
          '@type': typeUrl('envoy.extensions.filters.http.router.v3.Router'),
          suppress_envoy_headers: true,
        },
      },
    ],
  }
}

/** A request keeps the id it came with, byte for byte, or gets one; either way the answer carries it. */
const REQUEST_ID = {
  preserve_external_request_id: true,
  always_set_request_id_in_response: true,
  request_id_extension: {
    typed_config: {
      '@type': typeUrl('envoy.extensions.request_id.uuid.v3.UuidRequestIdConfig'),
      pack_trace_reason: false,
    },
  },
} as const

const SCOPED_ROUTES = {
  name: 'shards',
  scope_key_builder: SCOPE_KEY,
  rds_config_source: ADS,
  scoped_rds: { scoped_rds_config_source: ADS },
} as const

/** Without a default, a router configuration that never comes would answer 500 to every request. */
function toDiscoveredRouter({ router, wasmFolder }: ListenerOptions): Json {
  return {
    name: ROUTER_CONFIG_NAME,
    config_discovery: {
      config_source: ADS,
      type_urls: [typeUrl('envoy.extensions.filters.http.wasm.v3.Wasm')],
      default_config: toRouterFilter(router, [], wasmFolder),
    },
  }
}
