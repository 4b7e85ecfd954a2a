/** What a REST caller is answered. Pure. */
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import { JSON_LENGTH_HEADER } from '../../../api/oip/rest-message.ts'
import { toRestResponse } from '../../../api/oip/rest-response.ts'
import { type ServingError, toServingError } from '../../../kit/errors.ts'
import { ERROR_CODE_KEY } from '../../../kit/grpc.ts'
import type { Http1Answer } from '../../../kit/http1/exchange.ts'
import { isPrintable } from '../../../kit/http1/fields.ts'
import { failureText } from '../../journal/journal-headers.ts'
import { ROUTE_HEADER } from '../../journal/topics.ts'
import type { CallHeaders } from '../../model-client/model-client.ts'
import { isEchoed, REQUEST_ID_HEADER, VERSION_HEADER } from '../call.ts'
import type { InferAnswer } from '../gateway.ts'

const JSON_TYPE = 'content-type: application/json\r\n'
const BINARY_TYPE = 'content-type: application/octet-stream\r\n'
const NO_INPUTS: InferenceRequest = { id: '', parameters: {}, inputs: [], outputs: [] }

export function jsonAnswer(status: number, content: unknown, lines = ''): Http1Answer {
  const bytes = Buffer.from(JSON.stringify(content), 'utf8')
  return { status, lines: lines + JSON_TYPE, chunks: [bytes], byteLength: bytes.byteLength }
}

export const errorAnswer = ({ httpStatus, code, message }: ServingError, lines = ''): Http1Answer =>
  jsonAnswer(httpStatus, { error: message, code }, `${lines}${ERROR_CODE_KEY}: ${code}\r\n`)

/** @param passed the caller's own headers, which it gets back */
export function inferAnswer(
  { end, requestId, version }: InferAnswer,
  request: InferenceRequest | undefined,
  passed: CallHeaders,
): Http1Answer {
  let lines = `${REQUEST_ID_HEADER}: ${requestId}\r\n${echoLines(passed)}`
  if (version !== 0) lines += `${VERSION_HEADER}: ${String(version)}\r\n`
  if (end.kind === 'failed') {
    const { failure } = end
    const content = { error: failureText(failure), code: failure.code, source: failure.source }
    return jsonAnswer(failure.httpStatus, content, `${lines}${ERROR_CODE_KEY}: ${failure.code}\r\n`)
  }
  lines += routeLine(end.routes)
  try {
    const { chunks, byteLength, jsonLength } = toRestResponse(end.response, request ?? NO_INPUTS)
    lines += jsonLength === undefined ? JSON_TYPE : `${BINARY_TYPE}${JSON_LENGTH_HEADER}: ${String(jsonLength)}\r\n`
    return { status: 200, lines, chunks, byteLength }
  } catch (error) {
    return errorAnswer(toServingError(error), lines) // an output that JSON cannot hold
  }
}

/** Of several with one name the last, as an answer says a thing once. */
function echoLines(passed: CallHeaders): string {
  let lines = ''
  for (let index = 0; index < passed.length; index += 1) {
    const [name, value] = passed[index] ?? ['', '']
    if (isEchoed(name) && !isAgain(passed, name, index + 1)) lines += `${name}: ${value}\r\n`
  }
  return lines
}

function isAgain(passed: CallHeaders, name: string, from: number): boolean {
  for (let index = from; index < passed.length; index += 1) if (passed[index]?.[0] === name) return true
  return false
}

/** Routes are what models said, maybe through Kafka: nothing of theirs may end a line. */
function routeLine(routes: readonly string[]): string {
  if (routes.length === 0) return ''
  const value = routes.length === 1 ? (routes[0] ?? '') : routes.join(',')
  return isPrintable(value) ? `${ROUTE_HEADER}: ${value}\r\n` : ''
}
