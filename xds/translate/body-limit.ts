import type { Json } from '../proto/encode.ts'
import { typeUrl } from './names.ts'

/** `Number.MAX_SAFE_INTEGER`: no length that a header can name is above it. */
const NO_LIMIT = Number.MAX_SAFE_INTEGER
const REFUSED_STATUS = 403

/**
 * Refuses a request by its `content-length`, in native code and without holding back a byte. A body whose length is not
 * announced (chunked, gRPC) passes and is limited by the server that reads it: buffering it here would cost every request.
 */
export function toBodyLimit(maxRequestBytes: number): Json {
  return {
    name: 'body-limit',
    typed_config: {
      '@type': typeUrl('envoy.extensions.filters.http.rbac.v3.RBAC'),
      rules: {
        action: 'DENY',
        policies: {
          'too-large': {
            permissions: [
              { header: { name: 'content-length', range_match: { start: maxRequestBytes + 1, end: NO_LIMIT } } },
            ],
            principals: [{ any: true }],
          },
        },
      },
    },
  }
}

/** Nothing else here answers 403, so that status of Envoy's own is the refusal, and becomes 413 with a reason. */
export function tooLargeReply(maxRequestBytes: number): Json {
  return {
    filter: { status_code_filter: equals(REFUSED_STATUS) },
    status_code: 413,
    body_format_override: {
      json_format: { error: `the request body is larger than the limit of ${String(maxRequestBytes)} bytes` },
    },
  }
}

const equals = (value: number): Json => ({
  comparison: { op: 'EQ', value: { default_value: value, runtime_key: 'millrace.unused' } },
})
