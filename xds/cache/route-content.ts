import { encodeAny, type EncodedAny } from '../proto/encode.ts'
import { shardName } from '../translate/names.ts'
import { toRoute } from '../translate/route.ts'
import { toRouteShard } from '../translate/route-shard.ts'
import type { RouteIr } from '../ir/types.ts'
import { type Resource, toResource } from './resource.ts'

/** One target's route, encoded once. Equal bytes keep the same object, so that identity says "unchanged". */
export interface EncodedRoute {
  /** What it was encoded from, mirrors included. */
  readonly ir: RouteIr
  readonly route: EncodedAny
  readonly endpointSetIds: readonly string[]
}

/** What a shard holds. Never changed in place: nodes that lag behind keep the one they have ACKed. */
export type ShardContent = ReadonlyMap<string, EncodedRoute>

/** The route table of one shard, ready to be sent. */
export interface ShardResource extends Resource {
  readonly content: ShardContent
}

/** Encodes one route, or keeps `previous` when nothing would differ. */
export function toEncodedRoute(route: RouteIr, previous: EncodedRoute | undefined): EncodedRoute {
  const encoded = encodeAny(toRoute(route))
  if (previous !== undefined && Buffer.compare(previous.route.value, encoded.value) === 0) return previous
  return { ir: route, route: encoded, endpointSetIds: setIdsOf(route) }
}

/** Encodes a shard. Its version ends in the number of models, by which a reconnecting node tells how many it has (I9). */
export function toShardResource(shard: number, shards: number, content: ShardContent, revision: number): ShardResource {
  const json = toRouteShard(shard, shards, content)
  const models = [...content.keys()].filter(isModel).length
  return { content, ...toResource('RDS', shardName(shard), json, revision, `.${String(models)}`) }
}

/** Targets that begin with an underscore are our own: they stand even when there is no model. */
export const isModel = (target: string): boolean => !target.startsWith('_')

/** How many models a shard of that version holds. 0 when the version is not one of ours. */
export function modelsInVersion(version: string): number {
  const count = /\.(\d+)$/.exec(version)?.[1]
  return count === undefined ? 0 : Number(count)
}

/** The endpoint sets that a route sends requests or copies to, each once. */
export const setIdsOf = ({ destinations, mirrors = [] }: RouteIr): readonly string[] => [
  ...new Set([...destinations, ...mirrors].map(({ endpointSetId }) => endpointSetId)),
]
