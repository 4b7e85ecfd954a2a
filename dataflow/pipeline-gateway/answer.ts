/** The record of a request's result, as what its caller is answered. Pure. */
import { toServingError } from '../../kit/errors.ts'
import { decodeResponse, headerOf } from '../journal/decode.ts'
import { readFailure, routesOf } from '../journal/journal-headers.ts'
import { VERSION_HEADER } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import { ownFailure } from '../model-client/model-failure.ts'
import type { PipelineEnd } from '../runner/pipeline-request.ts'

/** Of a record on `<pipeline>.outputs`. */
export function toEnd(pipeline: string, record: IncomingRecord): PipelineEnd {
  const version = Number(headerOf(record.headers, VERSION_HEADER))
  const ran = Number.isSafeInteger(version) && version > 0 ? { version } : {}
  const failure = readFailure(record)
  if (failure !== undefined) return { kind: 'failed', failure, ...ran }
  try {
    return { kind: 'answered', response: decodeResponse(record.value), routes: routesOf(record.headers), ...ran }
  } catch (error) {
    const message = `the result in Kafka cannot be read: ${toServingError(error).message}`
    return { kind: 'failed', failure: { source: pipeline, ...ownFailure('INFERENCE_FAILED', message) }, ...ran }
  }
}
