/** What a record on a model's inputs asks for, and the records that answer it. Pure. */
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { toRestResponse } from '../../api/oip/rest-response.ts'
import { decodeRequest, headerOf, isJson } from '../journal/decode.ts'
import { errorHeaders, failureText, markedAsReplayed, withRoutes } from '../journal/journal-headers.ts'
import type { JournalHeaders, JournalMessage, JournalRecord } from '../journal/journal.ts'
import { ERRORS, INPUT_HEADER, RUNNER_HEADER, RUNNERS } from '../journal/topics.ts'
import type { IncomingRecord, RecordHeaders } from '../kafka/client.ts'
import type { CallHeaders } from '../model-client/model-client.ts'
import type { ModelFailure } from '../model-client/model-failure.ts'

/** What we say to each other, what a proxy says for one hop, and the route, which an answer has and a request has not. */
const NOT_PASSED = /^x-(?:millrace-|envoy-|forwarded-|seldon-route$)/
/** More of a text helps nobody. */
const MAX_ERROR_CHARS = 16_384

/** Of a runner that asks the model itself: answering its record would ask twice. */
export const isAsked = ({ headers }: IncomingRecord): boolean => headerOf(headers, RUNNER_HEADER) === RUNNERS.direct

export interface Asked {
  readonly request: InferenceRequest
  /** The answer comes in the form of the request. */
  readonly form: 'json' | 'protobuf'
}

/** @throws ServingError REQUEST_INVALID, TENSOR_INVALID: a record that nobody can read */
export const readAsked = (record: IncomingRecord): Asked => ({
  request: decodeRequest(record),
  form: isJson(record) ? 'json' : 'protobuf',
})

/** Every `x-*` of the record, for the model; HTTP/2 carries no line breaks. */
export const callHeaders = (headers: RecordHeaders): CallHeaders =>
  headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name, value]) => /^x-[\w-]+$/.test(name) && !NOT_PASSED.test(name) && /^[\x20-\x7e]*$/.test(value))

/** The record of an answer: key, partition and headers of its request, and the routes that it took. */
export function outputRecord(
  record: IncomingRecord,
  model: string,
  { request, form }: Asked,
  response: InferenceResponse,
  routes: readonly string[],
): JournalRecord {
  return {
    topic: { kind: 'model', name: model, side: 'outputs' },
    ...common(record),
    headers: withRoutes(repeated(record), routes),
    message: form === 'json' ? toJson(response, request) : { kind: 'response', response },
  }
}

export type RecordedFailure = Pick<ModelFailure, 'code' | 'grpcStatus' | 'message'>

/** The record of a failure, with its words alone, as in the answer to a call; to a runner's record as runners write it. */
export function errorRecord(record: IncomingRecord, model: string, failure: RecordedFailure): JournalRecord {
  const { code, grpcStatus } = failure
  const message = failure.message.slice(0, MAX_ERROR_CHARS)
  const isOfRunner = headerOf(record.headers, RUNNER_HEADER) === RUNNERS.topics
  return {
    topic: ERRORS,
    ...common(record),
    headers: errorHeaders(repeated(record), { source: model, code, grpcStatus }),
    message: { kind: 'error', text: isOfRunner ? failureText({ source: model, message }) : message },
  }
}

/** What somebody who is gone may have answered as well. */
export const doubted = (record: IncomingRecord): IncomingRecord => ({
  ...record,
  headers: markedAsReplayed(record.headers),
})

/** What `INPUT_HEADER` of its answer says. */
export const placeOf = ({ partition, offset }: IncomingRecord): string => `${String(partition)}.${String(offset)}`

const repeated = (record: IncomingRecord): JournalHeaders => [
  ...record.headers.filter(([name]) => name !== INPUT_HEADER),
  [INPUT_HEADER, placeOf(record)],
]

const common = ({ rawKey, partition }: IncomingRecord) =>
  ({ key: rawKey, partition, onFailure: 'fail-closed', awaited: true }) as const

/** A record has no header for the length of its JSON: outputs that were asked for as bytes come as JSON all the same. */
function toJson(response: InferenceResponse, request: InferenceRequest): JournalMessage {
  const { chunks } = toRestResponse(response, { ...request, parameters: {}, outputs: [] })
  return { kind: 'encoded', bytes: Buffer.concat(chunks) }
}
