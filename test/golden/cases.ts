import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { EndpointSetIr, ListenerOptions, RouteIr, SplitIr } from '../../xds/index.ts'
import { withMirrors } from '../../xds/cache/mirrors.ts'
import { setIdsOf } from '../../xds/cache/route-content.ts'
import { KINDS, type Kind } from '../../xds/cache/resource.ts'
import type { Json } from '../../xds/proto/encode.ts'
import { toCluster } from '../../xds/translate/clusters.ts'
import { toEndpoints } from '../../xds/translate/endpoints.ts'
import { toRouterConfig } from '../../xds/translate/extension-config.ts'
import { toListener } from '../../xds/translate/listener.ts'
import { PROTOCOLS } from '../../xds/translate/names.ts'
import { toRoute } from '../../xds/translate/route.ts'
import { toRouteShard } from '../../xds/translate/route-shard.ts'
import { toScope } from '../../xds/translate/scoped-routes.ts'
import { shardOf } from '../../xds/translate/shard.ts'

export const GOLDEN_FOLDER = import.meta.dirname
/** Stands for the folder of the compiled filters. */
export const WASM_FOLDER = '/filters'

/** Stands for the folder of certificates. */
export const TLS_FOLDER = '/tls'

/** What `ir.json` of a case holds: a whole state, and the options that matter to it. */
export interface GoldenCase {
  readonly shards: number
  readonly endpointSets: readonly EndpointSetIr[]
  readonly routes: readonly RouteIr[]
  readonly splits: readonly SplitIr[]
  readonly upstreamTls?: NonNullable<ListenerOptions['upstreamTls']>
  readonly ingressTls?: NonNullable<ListenerOptions['ingressTls']>
}

export type Resources = Readonly<Record<Kind, readonly Json[]>>

/** Every folder that has an `ir.json`. */
export const caseNames = (): string[] =>
  readdirSync(GOLDEN_FOLDER)
    .filter((name) => existsSync(join(GOLDEN_FOLDER, name, 'ir.json')))
    .toSorted()

export const readCase = (name: string): GoldenCase =>
  JSON.parse(readFileSync(join(GOLDEN_FOLDER, name, 'ir.json'), 'utf8')) as GoldenCase

/** The file of one kind of resource, as `cds.json`. */
export const goldenFile = (kind: Kind): string => `${kind.toLowerCase()}.json`

/** All resources of a state, as the cache makes them. */
export function translate({ shards, upstreamTls, ingressTls, ...state }: GoldenCase): Resources {
  const { endpointSets, routes, splits } = mirrored(state)
  const router = { shards, maxModels: 2_000, maxRequestBytes: 104_857_600 }
  const listener = { host: '127.0.0.1', port: 9000, wasmFolder: WASM_FOLDER, router, ...(ingressTls && { ingressTls }) }
  const indexes = Array.from({ length: shards }, (_, index) => index)
  const perCluster = (make: (set: EndpointSetIr, protocol: 'rest' | 'grpc') => Json): Json[] =>
    endpointSets.flatMap((set) => PROTOCOLS.map((protocol) => make(set, protocol)))
  return {
    CDS: perCluster((set, protocol) => toCluster(set, protocol, WASM_FOLDER, upstreamTls)),
    EDS: perCluster(toEndpoints),
    LDS: [toListener(listener)],
    SRDS: indexes.map(toScope),
    RDS: indexes.map((shard) => toRouteShard(shard, shards, entriesOf(shard, shards, routes))),
    ECDS: [toRouterConfig(router, splits, WASM_FOLDER)],
  }
}

function mirrored({ endpointSets, routes, splits }: Pick<GoldenCase, 'endpointSets' | 'routes' | 'splits'>) {
  const whole = { revision: 1, removeTargets: [], removeEndpointSetIds: [] }
  const nothing = { splits: [], route: () => undefined, sets: new Map<string, EndpointSetIr>() }
  const change = withMirrors({ ...whole, upsertRoutes: routes, upsertEndpointSets: endpointSets, splits }, nothing)
  return { endpointSets: change.upsertEndpointSets, routes: change.upsertRoutes, splits }
}

function entriesOf(shard: number, shards: number, routes: readonly RouteIr[]) {
  return new Map(
    routes
      .filter(({ target }) => shardOf(target, shards) === shard)
      .map((route) => [route.target, { route: toRoute(route), endpointSetIds: setIdsOf(route) }]),
  )
}

/** The text of one golden file: keys sorted, so that a difference is a difference. */
export const toGoldenText = (resources: readonly Json[]): string => `${JSON.stringify(sortKeys(resources), null, 2)}\n`

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, entry]) => entry !== undefined)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, entry]) => [key, sortKeys(entry)]),
  )
}

export const GOLDEN_FILES: ReadonlySet<string> = new Set(['ir.json', ...KINDS.map(goldenFile)])
