import type { RouteIr } from '../ir/types.ts'
import type { Json } from '../proto/encode.ts'
import { typeUrl } from './names.ts'

/**
 * A host that refuses at once has the fewest requests, so that of two hosts three choices in four fall on it: after 5 of them one
 * retry in four would go back to it.
 */
const HOST_SELECTIONS = 24

const toRetryPolicy = (retryOn: readonly string[], retriable: Json): Json => ({
  retry_on: retryOn.join(','),
  ...retriable,
  num_retries: 3,
  retry_back_off: { base_interval: '0.01s', max_interval: '0.1s' },
  retry_host_predicate: [
    {
      name: 'envoy.retry_host_predicates.previous_hosts',
      typed_config: { '@type': typeUrl('envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate') },
    },
  ],
  host_selection_retry_max_attempts: HOST_SELECTIONS,
})

const UNSENT = ['connect-failure', 'refused-stream', 'reset-before-request']
/** The server says itself that it has not begun: it lacks the model, or an agent's proxy could not give it the request at all. */
const SAYS_NOT_BEGUN = ['MODEL_NOT_FOUND', 'SERVER_UNREACHABLE'].map((code) => ({
  name: 'x-millrace-error-code',
  string_match: { exact: code },
}))

/** Of routes whose targets may answer "not found", or with our codes, after they worked. */
export const STRICT_RETRY_POLICIES: Readonly<Record<NonNullable<RouteIr['retries']>, Json>> = {
  unsent: toRetryPolicy(UNSENT, {}),
  coded: toRetryPolicy([...UNSENT, 'retriable-headers'], { retriable_headers: SAYS_NOT_BEGUN }),
}

/**
 * Only what no server has begun to work on is tried again, and on another host: an inference never runs twice. A server that
 * came back empty while no scheduler could tell says 404 or NOT_FOUND, MLServer without a code of ours.
 */
export const RETRY_POLICY = toRetryPolicy([...UNSENT, 'retriable-headers', 'retriable-status-codes'], {
  retriable_headers: [
    ...SAYS_NOT_BEGUN,
    { name: 'grpc-status', string_match: { exact: '5' } }, // NOT_FOUND, in a response that is nothing but its status
  ],
  retriable_status_codes: [404],
})
