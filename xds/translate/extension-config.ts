import type { SplitIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { ROUTER_CONFIG_NAME, typeUrl } from './names.ts'
import { type RouterOptions, toRouterTable } from './router-table.ts'
import { toWasmFilter } from './wasm.ts'

/** ECDS: the router filter with its table, so that splits change without touching a listener. */
export function toRouterConfig(options: RouterOptions, splits: readonly SplitIr[], wasmFolder: string): Json {
  return { name: ROUTER_CONFIG_NAME, typed_config: toRouterFilter(options, splits, wasmFolder) }
}

/** The router filter itself, as the listener's default too. */
export function toRouterFilter(options: RouterOptions, splits: readonly SplitIr[], wasmFolder: string): Json {
  const configuration = {
    '@type': typeUrl('google.protobuf.StringValue'),
    value: toRouterTable(options, splits),
  }
  // A gRPC call without a header waits for its first message, which must come in while the headers wait.
  return toWasmFilter('router', wasmFolder, { configuration, allow_on_headers_stop_iteration: true })
}
