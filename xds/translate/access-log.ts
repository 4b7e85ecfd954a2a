import type { Json } from '../proto/encode.ts'
import { FORMATTERS, TARGET } from './formatters.ts'
import { typeUrl } from './names.ts'

/** One JSON line on Envoy's standard error for each request that failed; whoever runs Envoy bounds that log. */
export function toAccessLog(): readonly Json[] {
  return [
    {
      name: 'envoy.access_loggers.stderr',
      filter: FAILED,
      typed_config: {
        '@type': typeUrl('envoy.extensions.access_loggers.stream.v3.StderrAccessLog'),
        log_format: { json_format: FIELDS, ...FORMATTERS },
      },
    },
  ]
}

const IS_GRPC = {
  header_filter: { header: { name: 'content-type', string_match: { prefix: 'application/grpc' } } },
} as const

const FAILED = {
  or_filter: {
    filters: [
      {
        status_code_filter: {
          comparison: { op: 'GE', value: { default_value: 400, runtime_key: 'millrace.access_log.minimum_status' } },
        },
      },
      { and_filter: { filters: [IS_GRPC, { grpc_status_filter: { statuses: ['OK'], exclude: true } }] } },
      { response_flag_filter: {} },
    ],
  },
} as const

const FIELDS = {
  time: '%START_TIME%',
  requestId: '%REQ(X-REQUEST-ID)%',
  method: '%REQ(:METHOD)%',
  path: '%REQ(:PATH)%',
  target: TARGET,
  internalModel: '%REQ(SELDON-INTERNAL-MODEL)%',
  status: '%RESPONSE_CODE%',
  grpcStatus: '%GRPC_STATUS%',
  flags: '%RESPONSE_FLAGS%',
  details: '%RESPONSE_CODE_DETAILS%',
  upstream: '%UPSTREAM_HOST%',
  failure: '%UPSTREAM_TRANSPORT_FAILURE_REASON%',
  attempts: '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
  durationMs: '%DURATION%',
} as const
