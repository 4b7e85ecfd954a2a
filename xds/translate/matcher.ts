import type { Json } from '../proto/encode.ts'
import { typeUrl } from './names.ts'

/** The input of a matcher: one request header. */
export const headerInput = (header: string): Json => ({
  name: header,
  typed_config: { '@type': typeUrl('envoy.type.matcher.v3.HttpRequestHeaderMatchInput'), header_name: header },
})

/** A leaf of a matcher. `typedConfig` names its own type, or is encoded already. */
export const matchAction = (name: string, typedConfig: unknown): Json => ({
  action: { name, typed_config: typedConfig },
})
