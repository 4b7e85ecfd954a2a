import type { DestinationIr, RouteIr, RouteMirrorIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { matchAction, matchProtocol } from './matcher.ts'
import {
  clusterName,
  GRPC_PATH,
  INTERNAL_NAME_HEADER,
  MIRROR_HEADER,
  type Protocol,
  ROUTE_HEADER,
  typeUrl,
} from './names.ts'
import { STRICT_RETRY_POLICIES } from './retry-policy.ts'

const ANY_PATH = { prefix: '/' } as const

/**
 * What a shard's map holds for one target: a Route, or a RouteList while more than one destination shares the traffic, or
 * while some of it is mirrored: what came by a split takes the routes that mirror, all else those that do not.
 */
export function toRoute(route: RouteIr): Json {
  const [first, second] = route.destinations
  if (first === undefined) throw new Error(`the route of "${route.target}" has no destination`)
  const splits = [...new Set((route.mirrors ?? []).map(({ split }) => split))].toSorted()
  if (second === undefined && splits.length === 0) return toSingleRoute(route, first)
  return {
    '@type': typeUrl('envoy.config.route.v3.RouteList'),
    routes: [undefined, ...splits]
      .toReversed()
      .flatMap((split) => [toWeightedRoute(route, 'grpc', split), toWeightedRoute(route, 'rest', split)]),
  }
}

/** One Route for both protocols: the plugin of the endpoint set picks the cluster. A RouteList of two costs 40 % more. */
function toSingleRoute(route: RouteIr, destination: DestinationIr): Json {
  return {
    '@type': typeUrl('envoy.config.route.v3.Route'),
    match: ANY_PATH,
    route: { cluster_specifier_plugin: destination.endpointSetId, ...toLimits(route) },
    ...toHeaders(destination),
  }
}

function toWeightedRoute(route: RouteIr, protocol: Protocol, split: string | undefined): Json {
  const clusters = route.destinations.map((destination) => ({
    name: clusterName(destination.endpointSetId, protocol),
    weight: destination.weight,
    ...toHeaders(destination),
  }))
  const mirrors = (route.mirrors ?? []).filter((mirror) => mirror.split === split)
  return {
    match: {
      ...(protocol === 'grpc' ? { prefix: GRPC_PATH } : ANY_PATH),
      ...(split === undefined ? {} : { headers: [{ name: MIRROR_HEADER, string_match: { exact: split } }] }),
    },
    route: {
      weighted_clusters: { clusters },
      ...toLimits(route),
      ...(mirrors.length === 0 ? {} : { request_mirror_policies: mirrors.map((mirror) => toMirror(mirror, protocol)) }),
    },
    ...(split === undefined ? {} : { request_headers_to_remove: [MIRROR_HEADER] }),
  }
}

function toHeaders({ internalName, routeToken }: DestinationIr): Json {
  const headers: Record<string, readonly Json[]> = {}
  if (internalName !== '') headers['request_headers_to_add'] = [toInternalName(internalName)]
  if (routeToken !== '') headers['response_headers_to_add'] = [toRouteToken(routeToken)]
  return headers
}

const toRouteToken = (value: string): Json => ({
  header: { key: ROUTE_HEADER, value },
  append_action: 'APPEND_IF_EXISTS_OR_ADD',
})

const toInternalName = (internalName: string): Json => ({
  header: { key: INTERNAL_NAME_HEADER, value: internalName },
  append_action: 'OVERWRITE_IF_EXISTS_OR_ADD',
})

/** The copy goes under the mirror's own internal name, whatever the primary's route has set. */
const toMirror = ({ endpointSetId, internalName, percent }: RouteMirrorIr, protocol: Protocol): Json => ({
  cluster: clusterName(endpointSetId, protocol),
  runtime_fraction: { default_value: { numerator: Math.round(percent * 10_000), denominator: 'MILLION' } },
  request_headers_mutations: [{ append: toInternalName(internalName) }],
})

/** The plugin that single routes to a set name: its REST or its gRPC cluster. */
export function toClusterSpecifier(endpointSetId: string): Json {
  const cluster = (protocol: Protocol): Json =>
    matchAction(protocol, {
      '@type': typeUrl('envoy.extensions.router.cluster_specifiers.matcher.v3.ClusterAction'),
      cluster: clusterName(endpointSetId, protocol),
    })
  return {
    extension: {
      name: endpointSetId,
      typed_config: {
        '@type': typeUrl('envoy.extensions.router.cluster_specifiers.matcher.v3.MatcherClusterSpecifier'),
        cluster_matcher: matchProtocol({ grpc: cluster('grpc'), rest: cluster('rest') }),
      },
    },
  }
}

/**
 * A model's own limit bounds the stream, not the upstream's answer: Envoy counts `timeout` as a failure of the host and
 * ejects it for all its models. Envoy's default of 15 s is always off, because it would cut long inferences.
 */
const toLimits = ({ timeoutMs, retries }: RouteIr): Json => ({
  timeout: '0s',
  ...(retries === undefined ? {} : { retry_policy: STRICT_RETRY_POLICIES[retries] }),
  ...(timeoutMs === 0 ? {} : { max_stream_duration: { max_stream_duration: `${String(timeoutMs / 1_000)}s` } }),
})
