/**
 * Which failures of a call mean that the model took nothing, so that what came over Kafka waits and is tried again. Pure. Whatever
 * may have reached the model is not called again: that is for who sent the record to decide.
 */
import type { ErrorCode } from '../../kit/errors.ts'
import type { Backoff } from '../../kit/backoff.ts'
import type { ModelFailure } from './model-failure.ts'

/** How soon. */
export const UNTOUCHED_AGAIN: Backoff = { minMs: 50, maxMs: 2_000 }

/** Envoy's words for a request that no host has seen. */
const NEVER_SENT =
  /no healthy upstream|no cluster|reset reason: (?:remote |local )?(?:connection failure|connection timeout|overflow)/
/** Envoy's words for one that a host may have seen. */
const MAYBE_SENT = /disconnect\/reset before headers|reset reason:/
/** Of a connection to Envoy that was never there. */
const NO_CONNECTION = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|could not be asked/

/** MODEL_NOT_FOUND: no route yet; the scheduler knows the model, or this process would not read for it. */
const ABSENT: ReadonlySet<ErrorCode> = new Set([
  'MODEL_NOT_FOUND',
  'MODEL_NOT_LOADED',
  'MODEL_RESTARTING',
  'SERVER_OVERLOADED',
])

export function isUntouched({ code, message }: ModelFailure): boolean {
  if (code === 'SERVER_UNAVAILABLE') return NEVER_SENT.test(message) || !MAYBE_SENT.test(message)
  if (code === 'INGRESS_UNAVAILABLE') return NO_CONNECTION.test(message)
  return ABSENT.has(code)
}
