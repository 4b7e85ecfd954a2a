/** Names that Envoy, the Wasm filters and this library share. The filters repeat them; a test compares the two. */

/** What is routed to, and the shard whose table holds it: see `targetKey`. */
export const TARGET_HEADER = 'x-millrace-target'
/** All gRPC calls that the router filter lets through begin so, and no REST call does. */
export const GRPC_PATH = '/inference.GRPCInferenceService/'
/** The target of the mirrored split by which a request came. */
export const MIRROR_HEADER = 'x-millrace-mirror'
export const INTERNAL_NAME_HEADER = 'seldon-internal-model'
export const ROUTE_HEADER = 'x-seldon-route'

/** No target at all: nobody was named. */
export const NO_TARGET = '_'
/** Answered 200 by Envoy itself: routes are there. */
export const READY_TARGET = '_ready'

export const LISTENER_NAME = 'ingress'
export const ROUTER_CONFIG_NAME = 'router'

export const PROTOCOLS = ['rest', 'grpc'] as const
export type Protocol = (typeof PROTOCOLS)[number]

/** The cluster, and the endpoints resource, of one set and protocol. */
export const clusterName = (endpointSetId: string, protocol: Protocol): string => `${endpointSetId}/${protocol}`

/** The inverse of clusterName. */
export const endpointSetIdOf = (name: string): string => name.slice(0, name.lastIndexOf('/'))

export const SHARD_MARK = '?'

/** The value of the target's header. What stands after the mark selects the scope; without it Envoy can print the target. */
export const targetKey = (target: string, shard: number): string => `${target}${SHARD_MARK}${String(shard)}`

/** One name for the scope and the route table of a shard. */
export const shardName = (shard: number): string => `shard-${String(shard)}`

export const typeUrl = (typeName: string): string => `type.googleapis.com/${typeName}`

/** Where every dynamic resource comes from: the one stream of the bootstrap. */
export const ADS = { ads: {}, resource_api_version: 'V3' } as const
