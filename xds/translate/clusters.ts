import type { EndpointSetIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { ADS, clusterName, type Protocol, typeUrl } from './names.ts'
import { toTlsMatch, type UpstreamTls } from './tls.ts'
import { toMirrorFilter, toRenameFilter } from './wasm.ts'

/** CDS: one set of replicas, for one protocol. Shared by every model placed on that set, hence the careful policy. */
export function toCluster(set: EndpointSetIr, protocol: Protocol, wasmFolder: string, tls?: UpstreamTls): Json {
  return {
    name: clusterName(set.id, protocol),
    type: 'EDS',
    eds_cluster_config: { eds_config: ADS },
    connect_timeout: '1s',
    lb_policy: 'LEAST_REQUEST',
    ...(set.isMirror === true ? MIRROR_POLICY : POLICY),
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

const POLICY = {
  circuit_breakers: CIRCUIT_BREAKERS,
  outlier_detection: OUTLIER_DETECTION,
  common_lb_config: { healthy_panic_threshold: { value: 0 } },
} as const

/**
 * Nobody waits for a copy, so only a bound keeps those of a slow mirror from piling up. No host is ever ejected, and unhealthy ones are
 * asked when there are no others (Envoy's default): a copy that is sent in vain is counted, one that has no host is not.
 */
const MIRROR_POLICY = {
  circuit_breakers: {
    thresholds: [{ max_connections: 256, max_pending_requests: 256, max_requests: 256, max_retries: 0 }],
  },
} as const

/** Then a copy is given up, which Envoy would otherwise wait for as long as the route says: for ever, by default. */
const MIRROR_STREAM_DURATION = '60s'

function toHttpOptions(set: EndpointSetIr, protocol: Protocol, wasmFolder: string): Json {
  const filters = [
    ...(set.isMirror === true ? [toMirrorFilter(wasmFolder)] : []),
    ...(set.nameSource === 'message' ? [toRenameFilter(protocol, wasmFolder)] : []),
  ]
  return {
    '@type': typeUrl('envoy.extensions.upstreams.http.v3.HttpProtocolOptions'),
    common_http_protocol_options: {
      idle_timeout: '4s', // below the 5 s after which Node and MLServer close
      ...(set.isMirror === true ? { max_stream_duration: MIRROR_STREAM_DURATION } : {}),
    },
    explicit_http_config: protocol === 'rest' ? { http_protocol_options: {} } : { http2_protocol_options: {} },
    ...(filters.length === 0 ? {} : { http_filters: [...filters, UPSTREAM_CODEC] }),
  }
}

const UPSTREAM_CODEC = {
  name: 'envoy.filters.http.upstream_codec',
  typed_config: { '@type': typeUrl('envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec') },
}
