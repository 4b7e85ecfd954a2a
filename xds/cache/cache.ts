/**
 * The one copy of what all Envoys shall have: encoded once, whatever the number of Envoys, and changed at a cost that
 * depends on the change alone. The table of a shard is encoded when a node is first sent it.
 *
 * I9: nothing is loaded until a whole state was given.
 */
import type { ChangeIr, EndpointSetIr, RouteIr, SplitIr } from '../ir/types.ts'
import { toCluster } from '../translate/clusters.ts'
import { toEndpoints } from '../translate/endpoints.ts'
import { toRouterConfig } from '../translate/extension-config.ts'
import { type ListenerOptions, toListener } from '../translate/listener.ts'
import { clusterName, LISTENER_NAME, PROTOCOLS, ROUTER_CONFIG_NAME } from '../translate/names.ts'
import { toScope } from '../translate/scoped-routes.ts'
import { checkChange } from './check-change.ts'
import { withMirrors } from './mirrors.ts'
import { type Kind, type Resource, toResource } from './resource.ts'
import type { EncodedRoute, ShardContent, ShardResource } from './route-content.ts'
import { createShardTable, type ShardTable } from './shard-table.ts'

/** A resource that is new, different or gone. */
export interface Touched {
  readonly kind: Kind
  readonly name: string
}

export interface Cache {
  /** Undefined until the whole state was loaded (I9). */
  revision(): number | undefined
  /** Replaces everything and says what differs. @throws Error listing every issue, and then changes nothing */
  load(state: ChangeIr): readonly Touched[]
  /** Applies a change and says what it touched. @throws Error listing every issue, and then changes nothing */
  update(change: ChangeIr): readonly Touched[]
  get(kind: Kind, name: string): Resource | undefined
  names(kind: Kind): Iterable<string>
  /** The routes of a shard, whether it is encoded already or not. */
  content(shardName: string): ShardContent | undefined
  /** A shard as one node alone is to have it. */
  buildShard(shardName: string, content: ShardContent): ShardResource
  /** When a resource last changed; undefined when there is none. */
  changedAt(kind: Kind, name: string): number | undefined
  /** The route of a target, as it stands. */
  route(target: string): EncodedRoute | undefined
  modelCount(): number
}

type Stored = Record<Exclude<Kind, 'RDS'>, Map<string, Resource>>

export function createCache(options: ListenerOptions): Cache {
  const { shards } = options.router
  const routes: ShardTable = createShardTable(shards)
  const sets = new Map<string, EndpointSetIr>()
  let splits: readonly SplitIr[] = []
  const stored: Stored = {
    CDS: new Map(),
    EDS: new Map(),
    LDS: new Map([[LISTENER_NAME, toResource('LDS', LISTENER_NAME, toListener(options), 0)]]),
    SRDS: new Map(routes.names().map((name, shard) => [name, toResource('SRDS', name, toScope(shard), 0)])),
    ECDS: new Map(),
  }
  putSplits([], 0)
  let revision: number | undefined

  function update(asked: ChangeIr): readonly Touched[] {
    const change = withMirrors(asked, { splits, route: (target) => routes.route(target)?.ir, sets })
    checkChange(asked, change, { hasSet: (id) => sets.has(id), routes })
    revision = change.revision
    splits = change.splits ?? splits
    return [
      ...change.upsertEndpointSets.flatMap((set) => putSet(set, change.revision)),
      ...routes.apply(change.upsertRoutes, change.removeTargets, change.revision),
      ...(change.splits === undefined ? [] : putSplits(change.splits, change.revision)),
      ...change.removeEndpointSetIds.flatMap(removeSet),
    ]
  }

  function putSet(set: EndpointSetIr, atRevision: number): Touched[] {
    sets.set(set.id, set)
    return PROTOCOLS.flatMap((protocol) => {
      const name = clusterName(set.id, protocol)
      return [
        ...put(
          'CDS',
          toResource('CDS', name, toCluster(set, protocol, options.wasmFolder, options.upstreamTls), atRevision),
        ),
        ...put('EDS', toResource('EDS', name, toEndpoints(set, protocol), atRevision)),
      ]
    })
  }

  function removeSet(id: string): Touched[] {
    sets.delete(id)
    return PROTOCOLS.flatMap((protocol) => {
      const name = clusterName(id, protocol)
      stored.EDS.delete(name) // Envoy drops the endpoints together with their cluster
      return stored.CDS.delete(name) ? [{ kind: 'CDS' as const, name }] : []
    })
  }

  function putSplits(splits: readonly SplitIr[], atRevision: number): Touched[] {
    const json = toRouterConfig(options.router, splits, options.wasmFolder)
    return put('ECDS', toResource('ECDS', ROUTER_CONFIG_NAME, json, atRevision))
  }

  function put(kind: keyof Stored, resource: Resource): Touched[] {
    if (stored[kind].get(resource.name)?.version === resource.version) return []
    stored[kind].set(resource.name, resource)
    return [{ kind, name: resource.name }]
  }

  return {
    revision: () => revision,
    load: (state) =>
      update({
        ...state,
        splits: state.splits ?? [],
        removeTargets: without(
          routes.targets(),
          state.upsertRoutes.map(({ target }: RouteIr) => target),
        ),
        removeEndpointSetIds: without(
          [...sets.values()].flatMap(({ id, isMirror }) => (isMirror === true ? [] : [id])),
          state.upsertEndpointSets.map(({ id }) => id),
        ),
      }),
    update,
    get: (kind, name) => (kind === 'RDS' ? routes.resource(name) : stored[kind].get(name)),
    names: (kind) => (kind === 'RDS' ? routes.names() : stored[kind].keys()),
    content: routes.content,
    buildShard: routes.build,
    changedAt: (kind, name) => {
      if (kind !== 'RDS') return stored[kind].get(name)?.revision
      return routes.content(name) === undefined ? undefined : routes.revision(name)
    },
    route: routes.route,
    modelCount: routes.modelCount,
  }
}

function without(present: Iterable<string>, kept: readonly string[]): readonly string[] {
  const keep = new Set(kept)
  return [...present].filter((key) => !keep.has(key))
}
