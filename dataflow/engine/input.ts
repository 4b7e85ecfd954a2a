/** A record of a pipeline's inputs as a request, or as the error that it is none. */
import { type ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import { decodeRequest, headerOf } from '../journal/decode.ts'
import type { Journal } from '../journal/journal.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { TIMEOUT_HEADER, timeoutOf } from '../pipeline-gateway/call.ts'
import { toPipelineFailure } from '../runner/pipeline-request.ts'
import { writeError } from './error-record.ts'
import type { Identity } from './identity.ts'
import { insist } from './insist.ts'

type Input =
  | { readonly kind: 'request'; readonly request: InferenceRequest; readonly timeoutMs: number }
  | { readonly kind: 'poison'; readonly error: ServingError }

export function readInput({ plan }: HeldPlan, record: IncomingRecord): Input {
  try {
    const timeoutMs = timeoutOf(headerOf(record.headers, TIMEOUT_HEADER), plan.timeoutMs)
    return { kind: 'request', request: decodeRequest(record), timeoutMs }
  } catch (error) {
    return { kind: 'poison', error: toServingError(error) }
  }
}

export interface PoisonDeps {
  readonly journal: Journal
  readonly log: Logger
  readonly signal: AbortSignal
}

/** Tells why it is no request, as its result. False: the engine stopped before. */
export async function tellPoison(
  { journal, log, signal }: PoisonDeps,
  held: HeldPlan,
  { partition, offset }: IncomingRecord,
  identity: Identity,
  error: ServingError,
): Promise<boolean> {
  const { pipeline } = held
  const failure = toPipelineFailure(pipeline, error)
  log.warn({ pipeline, partition, offset: String(offset), error: failure.message }, 'a record is no request')
  return insist({ what: 'an error could not be recorded', pipeline, signal, log }, () =>
    writeError(journal, held, identity, failure),
  )
}
