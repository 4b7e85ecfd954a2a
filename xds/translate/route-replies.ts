import { encodeAny, type EncodedAny, type Json } from '../proto/encode.ts'
import { headerInput, matchAction } from './matcher.ts'
import { NO_TARGET, PROTOCOL_HEADER, READY_TARGET, typeUrl } from './names.ts'

const NOT_FOUND = 404

/** Routes that Envoy answers itself, in the shards that their targets fall into. Encoded once: they never change. */
export const REPLIES: ReadonlyMap<string, EncodedAny> = new Map([
  [READY_TARGET, encodeAny(toReply(200))],
  [
    NO_TARGET,
    encodeAny(
      toReply(NOT_FOUND, {
        json_format: {
          error: 'no model is named: use /v2/models/<name>/infer, the header seldon-model, or model_name in gRPC',
        },
      }),
    ),
  ],
])

const UNKNOWN_MODEL = 'model "%REQ(X-MILLRACE-TARGET)%" is not available: no such model, or it is not loaded'

/** What a target gets that the shard does not hold: the name, escaped, as JSON or as the text of a gRPC status. */
export const UNKNOWN_TARGET: Json = {
  matcher: {
    matcher_tree: {
      input: headerInput(PROTOCOL_HEADER),
      exact_match_map: {
        map: {
          grpc: matchAction('unknown', encodeAny(toReply(NOT_FOUND, { text_format_source: inline(UNKNOWN_MODEL) }))),
        },
      },
    },
    on_no_match: matchAction('unknown', encodeAny(toReply(NOT_FOUND, { json_format: { error: UNKNOWN_MODEL } }))),
  },
}

function toReply(status: number, bodyFormat?: Json): Json {
  return {
    '@type': typeUrl('envoy.config.route.v3.Route'),
    match: { prefix: '/' },
    direct_response: { status, ...(bodyFormat ? { body_format: bodyFormat } : {}) },
  }
}

function inline(text: string): Json {
  return { inline_string: text }
}
