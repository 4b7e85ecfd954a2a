import type { Json } from '../../xds/proto/encode.ts'
import type { Resources } from './cases.ts'

type Fields = Record<string, unknown>

/**
 * A case as a bootstrap without xDS, because `envoy --mode validate` does not look at what xDS would bring: clusters
 * with their endpoints in place, the route tables inside the scopes, the router configuration inside the listener.
 */
export function toStaticBootstrap(resources: Resources): Json {
  return {
    static_resources: {
      clusters: resources.CDS.map((cluster, index) => withEndpoints(cluster, resources.EDS[index])),
      listeners: resources.LDS.map((listener) => withRoutes(listener, resources)),
    },
  }
}

function withEndpoints(cluster: Json, endpoints: Json | undefined): Json {
  const { eds_cluster_config: _, ...fields } = cluster as Fields
  return { ...fields, type: 'STATIC', load_assignment: endpoints }
}

function withRoutes(listener: Json, { RDS, SRDS, ECDS }: Resources): Json {
  const copy = structuredClone(listener) as { filter_chains: { filters: { typed_config: Fields }[] }[] }
  const manager = copy.filter_chains[0]?.filters[0]?.typed_config
  if (manager === undefined) throw new Error('the listener has no connection manager')
  const { scope_key_builder, name } = manager['scoped_routes'] as Fields
  const scopes = SRDS.map((scope, index) => {
    const { route_configuration_name: _, ...fields } = scope as Fields
    return { ...fields, route_configuration: RDS[index] }
  })
  manager['scoped_routes'] = {
    name,
    scope_key_builder,
    scoped_route_configurations_list: { scoped_route_configurations: scopes },
  }
  manager['http_filters'] = (manager['http_filters'] as Fields[]).map((filter) => {
    const { config_discovery: discovered, ...fields } = filter
    return discovered === undefined ? filter : { ...fields, typed_config: ECDS[0]?.['typed_config'] }
  })
  return copy as unknown as Json
}
