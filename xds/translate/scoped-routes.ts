import type { Json } from '../proto/encode.ts'
import { SHARD_MARK, shardName, TARGET_HEADER } from './names.ts'

/** How Envoy finds the scope of a request: by the shard in the target's header. */
export const SCOPE_KEY: Json = {
  fragments: [{ header_value_extractor: { name: TARGET_HEADER, element_separator: SHARD_MARK, index: 1 } }],
}

/** SRDS: the scope that the shard header selects, and the route table it leads to. */
export function toScope(shard: number): Json {
  return {
    name: shardName(shard),
    route_configuration_name: shardName(shard),
    key: { fragments: [{ string_key: String(shard) }] },
  }
}
