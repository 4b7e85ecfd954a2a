import type { Json } from '../proto/encode.ts'
import { headerInput, matchAction } from './matcher.ts'
import { typeUrl } from './names.ts'
import { toWasmFilter } from './wasm.ts'

const ASKED_FOR_HEADER = 'seldon-model'

/**
 * The filter that reads a model's name from the first gRPC message, put in the way of the only requests that need it:
 * gRPC without a header. All others never enter its VM, headers or body.
 */
export function toPeekFilter(wasmFolder: string): Json {
  return {
    name: 'peek',
    typed_config: {
      '@type': typeUrl('envoy.extensions.common.matching.v3.ExtensionWithMatcher'),
      extension_config: {
        name: 'composite',
        typed_config: { '@type': typeUrl('envoy.extensions.filters.http.composite.v3.Composite') },
      },
      xds_matcher: {
        matcher_tree: {
          input: headerInput('content-type'),
          prefix_match_map: { map: { 'application/grpc': { matcher: whenHeaderIsAbsent(wasmFolder) } } },
        },
      },
    },
  }
}

function whenHeaderIsAbsent(wasmFolder: string): Json {
  const hasHeader = {
    single_predicate: {
      input: headerInput(ASKED_FOR_HEADER),
      value_match: { safe_regex: { google_re2: {}, regex: '(?s).+' } },
    },
  }
  const run = matchAction('run', {
    '@type': typeUrl('envoy.extensions.filters.http.composite.v3.ExecuteFilterAction'),
    typed_config: {
      name: 'peek',
      typed_config: toWasmFilter('peek', wasmFolder, { allow_on_headers_stop_iteration: true }),
    },
  })
  return { matcher_list: { matchers: [{ predicate: { not_matcher: hasHeader }, on_match: run }] } }
}
