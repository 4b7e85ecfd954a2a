/** Models -> routes. */
import type { ModelDocument } from '../domain/documents.ts'
import { toInternalName } from '../domain/names.ts'
import type { RouteIr } from '../../xds/index.ts'
import { MESH, toEndpointSetId } from './endpoint-set.ts'

/** Calls that name no model: metadata and readiness of the servers. */
export const MESH_ROUTE: RouteIr = {
  target: MESH,
  destinations: [{ endpointSetId: MESH, internalName: '', routeToken: '', weight: 1 }],
  timeoutMs: 0,
}

/** Undefined while Envoy shall not know the model. */
export function toRouteIr(model: ModelDocument): RouteIr | undefined {
  if (model.route === undefined) return undefined
  const internalName = toInternalName(model.name, model.route.version)
  const endpointSetId = toEndpointSetId(model.route.replicas, model.route.dataPath)
  return {
    target: model.name,
    destinations: [{ endpointSetId, internalName, routeToken: `:${internalName}:`, weight: 1 }],
    timeoutMs: model.deployment.timeoutMs,
    ...(mayAnswerNotFound(model, model.route.version) ? { retries: 'coded' } : {}),
  }
}

/** Runtimes that say "not found" of nothing but a model that they do not have. A class of the user's own may say it of anything. */
const KNOWN_RUNTIMES: ReadonlySet<string> = new Set([
  'onnx',
  'embedded',
  'javascript',
  'sklearn',
  'xgboost',
  'lightgbm',
])

const mayAnswerNotFound = ({ versions }: ModelDocument, routed: number): boolean =>
  versions.find(({ version }) => version === routed)?.spec.requirements.some((name) => KNOWN_RUNTIMES.has(name)) !==
  true
