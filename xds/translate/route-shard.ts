import type { EncodedAny, Json } from '../proto/encode.ts'
import { matchAction, matchTarget } from './matcher.ts'
import { shardName, TARGET_HEADER } from './names.ts'
import { RETRY_POLICY } from './retry-policy.ts'
import { REPLIES, UNKNOWN_TARGET } from './route-replies.ts'
import { shardOf } from './shard.ts'
import { toClusterSpecifier } from './route.ts'

/** One target of a shard. */
export interface ShardEntry {
  /** An `Any` with a Route or a RouteList, encoded or not. */
  readonly route: Json | EncodedAny
  /** The sets that it sends traffic to: Envoy must know their clusters first (I1). */
  readonly endpointSetIds: readonly string[]
}

/** RDS: all targets of one shard in one exact-match map. The result does not depend on the order of `entries`. */
export function toRouteShard(shard: number, shards: number, entries: ReadonlyMap<string, ShardEntry>): Json {
  const routes = new Map<string, unknown>([...entries].map(([target, entry]) => [target, entry.route]))
  for (const [target, reply] of REPLIES) if (shardOf(target, shards) === shard) routes.set(target, reply)
  const setIds = new Set([...entries.values()].flatMap((entry) => entry.endpointSetIds))
  return {
    name: shardName(shard),
    cluster_specifier_plugins: [...setIds].toSorted().map(toClusterSpecifier),
    virtual_hosts: [
      {
        name: shardName(shard),
        domains: ['*'],
        retry_policy: RETRY_POLICY,
        request_headers_to_remove: [TARGET_HEADER],
        matcher: { on_no_match: UNKNOWN_TARGET, ...toTargetMap(shard, routes) },
      },
    ],
  }
}

/** Envoy refuses a map with nothing in it. */
function toTargetMap(shard: number, routes: ReadonlyMap<string, unknown>): Json {
  if (routes.size === 0) return {}
  const targets = [...routes.keys()].toSorted()
  return matchTarget(shard, new Map(targets.map((target) => [target, matchAction('route', routes.get(target))])))
}
