/** Models -> routes. */
import type { DataPath, ModelDocument, ReplicaKey, RouteDocument } from '../domain/documents.ts'
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
  return {
    target: model.name,
    destinations: sharesOf(model.route).map(({ version, replicas, dataPath, weight }) => {
      const internalName = toInternalName(model.name, version)
      const endpointSetId = toEndpointSetId(replicas, dataPath)
      return { endpointSetId, internalName, routeToken: `:${internalName}:`, weight }
    }),
    timeoutMs: model.deployment.timeoutMs,
    ...(mayAnswerNotFound(model, model.route.version) ? { retries: 'coded' } : {}),
  }
}

/** Who shares the traffic: one version, or during a rolling update two, by their ready replicas (I5). */
export function sharesOf({ version, replicas, dataPath, next }: RouteDocument): readonly Share[] {
  const serving = (weight: number): Share => ({ version, replicas, dataPath: dataPath ?? 'direct', weight })
  if (next === undefined) return [serving(1)]
  return [serving(replicas.length), { ...next, dataPath: next.dataPath ?? 'direct' }]
}

interface Share {
  readonly version: number
  readonly replicas: readonly ReplicaKey[]
  readonly dataPath: DataPath
  readonly weight: number
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
