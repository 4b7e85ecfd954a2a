import type { EndpointSetIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { ADS, clusterName, type Protocol, typeUrl } from './names.ts'
import { toTlsMatch, type UpstreamTls } from './tls.ts'
import { toRenameFilter } from './wasm.ts'

/** CDS: one set of replicas, for one protocol. Shared by every model placed on that set, hence the careful policy. */
export function toCluster(set: EndpointSetIr, protocol: Protocol, wasmFolder: string, tls?: UpstreamTls): Json {
  return {
    name: clusterName(set.id, protocol),
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS },
    connect_timeout: '1s',
    lb_policy: 'LEAST_REQUEST',
    circuit_breakers: CIRCUIT_BREAKERS,
    outlier_detection: OUTLIER_DETECTION,
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
    ...(tls === undefined ? {} : { transport_socket_matches: [toTlsMatch(tls, protocol)] }),
    typed_extension_protocol_options: {
      'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': toHttpOptions(set, protocol, wasmFolder),
    },
  }
}

/** Far above what a host can take: it is the server that says it is full, never a default of 3 retries. */
const CIRCUIT_BREAKERS = {
  thresholds: [{ max_connections: 65_536, max_pending_requests: 65_536, max_requests: 1_048_576, max_retries: 65_536 }],
} as const

/** Only what happens on the connection ejects a host: a model that answers 500 must not take its neighbours along. */
const OUTLIER_DETECTION = {
  interval: '0.5s',
  base_ejection_time: '1s',
  max_ejection_time: '10s',
  max_ejection_percent: 100,
  split_external_local_origin_errors: true,
  consecutive_local_origin_failure: 1,
  enforcing_consecutive_local_origin_failure: 100,
  enforcing_consecutive_5xx: 0,
  enforcing_consecutive_gateway_failure: 0,
  enforcing_success_rate: 0,
  enforcing_local_origin_success_rate: 0,
} as const

function toHttpOptions(set: EndpointSetIr, protocol: Protocol, wasmFolder: string): Json {
  return {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    common_http_protocol_options: { idle_timeout: '4s' }, // below the 5 s after which Node and MLServer close
    explicit_http_config: protocol === 'rest' ? { http_protocol_options: {} } : { http2_protocol_options: {} },
    ...(set.nameSource === 'message' ? { http_filters: [toRenameFilter(protocol, wasmFolder), UPSTREAM_CODEC] } : {}),
  }
}

const UPSTREAM_CODEC = {
  name: 'envoy.filters.http.upstream_codec',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec') },
}
