import type { Json } from '../proto/encode.ts'
import { FORMATTERS, TARGET } from './formatters.ts'
import { matchAction, matchProtocol } from './matcher.ts'
import { NO_TARGET, READY_TARGET, typeUrl } from './names.ts'

const NOT_FOUND = 404

/** Routes that Envoy answers itself, in the shards that their targets fall into. */
export const REPLIES: ReadonlyMap<string, Json> = new Map([
  [READY_TARGET, toReply(200)],
  [
    NO_TARGET,
    toReply(NOT_FOUND, {
      json_format: {
        error: 'no model is named: use /v2/models/<name>/infer, the header seldon-model, or model_name in gRPC',
      },
    }),
  ],
])

const UNKNOWN_MODEL = `model "${TARGET}" is not available: no such model, or it is not loaded`

/** What a target gets that the shard does not hold: the name, escaped, as JSON or as the text of a gRPC status. */
export const UNKNOWN_TARGET: Json = {
  matcher: matchProtocol({
    grpc: unknown(toReply(NOT_FOUND, { text_format_source: { inline_string: UNKNOWN_MODEL }, ...FORMATTERS })),
    rest: unknown(toReply(NOT_FOUND, { json_format: { error: UNKNOWN_MODEL }, ...FORMATTERS })),
  }),
}

function unknown(reply: Json): Json {
  return matchAction('unknown', reply)
}

function toReply(status: number, bodyFormat?: Json): Json {
  return {
    '@type': typeUrl('envoy.config.route.v3.Route'),
    match: { prefix: '/' },
    direct_response: { status, ...(bodyFormat ? { body_format: bodyFormat } : {}) },
  }
}
