/**
 * Pipelines -> routes, gateways -> the endpoint set that all of them share. A pipeline's route says nothing of its version or of
 * gateways, so neither a new version nor a gateway that comes or goes changes it. Pure.
 */
import type { GatewayDocument, PipelineDocument } from '../domain/documents.ts'
import { toPipelineTarget } from '../domain/pipeline/target.ts'
import type { EndpointIr, EndpointSetIr, RouteIr } from '../../xds/index.ts'

/** The endpoint set of all pipeline gateways; no server's set has this name, since those name replicas. */
export const PIPELINE_GATEWAY = 'pipeline-gateway'

/**
 * Undefined while Envoy shall not know the pipeline. The gateway keeps the deadline of a request, whose length it knows. What it
 * answers may come after steps that ran, whatever its code: only what no gateway got is asked of another.
 */
export function toPipelineRouteIr({ name, route }: PipelineDocument): RouteIr | undefined {
  if (route === undefined) return undefined
  const target = toPipelineTarget(name)
  const destination = { endpointSetId: PIPELINE_GATEWAY, internalName: target, routeToken: `:${target}:`, weight: 1 }
  return { target, destinations: [destination], timeoutMs: 0, retries: 'unsent' }
}

/** A gateway reads the header, so nothing is renamed. */
export function toGatewaySet(gateways: Iterable<GatewayDocument>): EndpointSetIr {
  const sorted = [...gateways].toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return { id: PIPELINE_GATEWAY, endpoints: sorted.map(toGatewayEndpoint), nameSource: 'header' }
}

export function toGatewayEndpoint({
  name,
  address,
  restPort,
  grpcPort,
  tls,
  ready,
  draining,
}: GatewayDocument): EndpointIr {
  const health = draining ? 'draining' : ready ? 'healthy' : 'unhealthy'
  return { id: `${PIPELINE_GATEWAY}/${name}`, address, restPort, grpcPort, ...(tls && { tls }), health }
}
