import type { RouteIr } from '../ir/types.ts'
import { shardName } from '../translate/names.ts'
import { shardOf } from '../translate/shard.ts'
import {
  type EncodedRoute,
  isModel,
  type ShardContent,
  type ShardResource,
  toEncodedRoute,
  toShardResource,
} from './route-content.ts'

interface Shard {
  readonly index: number
  content: ShardContent
  /** When the content last changed. */
  revision: number
  /** Undefined from a change until a node is sent the shard. */
  resource: ShardResource | undefined
}

/** All routes, by shard. Every shard exists, empty or not: one that is missing keeps Envoy's listener closed for 15 s. */
export interface ShardTable {
  /** Changes the shards concerned, each copied once, and says which. */
  apply(
    upserts: readonly RouteIr[],
    removals: readonly string[],
    revision: number,
  ): { readonly kind: 'RDS'; readonly name: string }[]
  route(target: string): EncodedRoute | undefined
  targets(): Iterable<string>
  /** How many routes name an endpoint set. */
  references(endpointSetId: string): number
  names(): readonly string[]
  content(name: string): ShardContent | undefined
  resource(name: string): ShardResource | undefined
  build(name: string, content: ShardContent): ShardResource
  /** When the routes of a shard last changed. */
  revision(name: string): number
  /** How many models have a route. */
  modelCount(): number
}

export function createShardTable(shards: number): ShardTable {
  const names = Array.from({ length: shards }, (_, index) => shardName(index))
  const table = new Map<string, Shard>(
    names.map((name, index) => [name, { index, content: new Map(), revision: 0, resource: undefined }]),
  )
  const references = new Map<string, number>()
  let modelCount = 0

  function shardAt(name: string): Shard {
    const shard = table.get(name)
    if (shard === undefined) throw new Error(`there is no shard "${name}" among ${String(shards)}`)
    return shard
  }

  function route(target: string): EncodedRoute | undefined {
    return shardAt(shardName(shardOf(target, shards))).content.get(target)
  }

  function refer(endpointSetIds: readonly string[], by: 1 | -1): void {
    for (const id of endpointSetIds) {
      const now = (references.get(id) ?? 0) + by
      if (now === 0) references.delete(id)
      else references.set(id, now)
    }
  }

  function apply(
    upserts: readonly RouteIr[],
    removals: readonly string[],
    revision: number,
  ): { kind: 'RDS'; name: string }[] {
    const copies = new Map<string, Map<string, EncodedRoute>>()
    const set = (target: string, next: EncodedRoute | undefined): void => {
      const name = shardName(shardOf(target, shards))
      const copy = copies.get(name) ?? new Map(shardAt(name).content)
      const previous = copy.get(target)
      if (previous === next) return
      copies.set(name, copy)
      if (next === undefined) copy.delete(target)
      else copy.set(target, next)
      refer(previous?.endpointSetIds ?? [], -1)
      refer(next?.endpointSetIds ?? [], 1)
      if (isModel(target)) modelCount += Number(next !== undefined) - Number(previous !== undefined)
    }
    for (const target of removals) set(target, undefined)
    for (const upsert of upserts) set(upsert.target, toEncodedRoute(upsert, route(upsert.target)))
    for (const [name, copy] of copies) Object.assign(shardAt(name), { content: copy, revision, resource: undefined })
    return [...copies.keys()].map((name) => ({ kind: 'RDS', name }))
  }

  return {
    apply,
    route,
    *targets() {
      for (const shard of table.values()) yield* shard.content.keys()
    },
    references: (id) => references.get(id) ?? 0,
    names: () => names,
    content: (name) => table.get(name)?.content,
    resource: (name) => {
      const shard = table.get(name)
      if (shard === undefined) return undefined
      return (shard.resource ??= toShardResource(shard.index, shards, shard.content, shard.revision))
    },
    build: (name, content) => {
      const { index, revision } = shardAt(name)
      return toShardResource(index, shards, content, revision)
    },
    revision: (name) => shardAt(name).revision,
    modelCount: () => modelCount,
  }
}
