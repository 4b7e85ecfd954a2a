import type { Json } from '../proto/encode.ts'
import { GRPC_PATH, TARGET_HEADER, targetKey, typeUrl } from './names.ts'

/** The input of a matcher: one request header. */
const headerInput = (header: string): Json => ({
  name: header,
  typed_config: { '@type': typeUrl('envoy.type.matcher.v3.HttpRequestHeaderMatchInput'), header_name: header },
})

/** A leaf of a matcher. `typedConfig` names its own type, or is encoded already. */
export const matchAction = (name: string, typedConfig: unknown): Json => ({
  action: { name, typed_config: typedConfig },
})

/** What is done for each target of one shard. `actions` may not be empty: Envoy refuses such a map. */
export const matchTarget = (shard: number, actions: ReadonlyMap<string, Json>): Json => ({
  matcher_tree: {
    input: headerInput(TARGET_HEADER),
    exact_match_map: {
      map: Object.fromEntries([...actions].map(([target, action]) => [targetKey(target, shard), action])),
    },
  },
})

/** One of two, by what a call speaks. */
export const matchProtocol = (actions: Readonly<Record<'grpc' | 'rest', Json>>): Json => ({
  matcher_tree: { input: headerInput(':path'), prefix_match_map: { map: { [GRPC_PATH]: actions.grpc } } },
  on_no_match: actions.rest,
})
