import type { EndpointIr, EndpointSetIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { clusterName, type Protocol } from './names.ts'
import { TLS_MATCH } from './tls.ts'

const HEALTH = { healthy: 'HEALTHY', unhealthy: 'UNHEALTHY', draining: 'DRAINING' } as const

/** EDS: where the replicas of one set answer one protocol. */
export function toEndpoints(set: EndpointSetIr, protocol: Protocol): Json {
  const endpoints = set.endpoints.toSorted((a, b) => (a.id < b.id ? -1 : 1))
  return {
    cluster_name: clusterName(set.id, protocol),
    endpoints: [{ lb_endpoints: endpoints.map((endpoint) => toLbEndpoint(endpoint, protocol)) }],
  }
}

function toLbEndpoint(endpoint: EndpointIr, protocol: Protocol): Json {
  const port = protocol === 'rest' ? endpoint.restPort : endpoint.grpcPort
  return {
    endpoint: {
      address: { socket_address: { address: endpoint.address, port_value: port } },
      hostname: endpoint.id,
    },
    health_status: HEALTH[endpoint.health],
    ...(endpoint.tls === true ? { metadata: { filter_metadata: { 'envoy.transport_socket_match': TLS_MATCH } } } : {}),
  }
}
