import type { Json } from '../proto/encode.ts'
import { shardName } from './names.ts'

/** SRDS: the scope that the shard header selects, and the route table it leads to. */
export function toScope(shard: number): Json {
  return {
    name: shardName(shard),
    route_configuration_name: shardName(shard),
    key: { fragments: [{ string_key: String(shard) }] },
  }
}
