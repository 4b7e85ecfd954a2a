/** Pipelines over REST: node's http server in front of the gateway. */
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from 'node:http'
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import { toRestMetadata } from '../../../api/oip/metadata.ts'
import { type Answer, jsonAnswer, send, tensorsAnswer } from '../../../api/oip/rest-answer.ts'
import { JSON_LENGTH_HEADER } from '../../../api/oip/rest-message.ts'
import { parseRestRequest } from '../../../api/oip/rest-request.ts'
import { toRestResponse } from '../../../api/oip/rest-response.ts'
import type { WatchedCertificates } from '../../../kit/certificates.ts'
import { toServingError } from '../../../kit/errors.ts'
import { createWebServer, goneSignal } from '../../../kit/http.ts'
import { ERROR_CODE_KEY } from '../../../kit/grpc.ts'
import { type BodyLimits, type BodyReader, createBodyReader } from '../../../kit/http-body.ts'
import type { Logger } from '../../../kit/log.ts'
import { ROUTE_HEADER } from '../../journal/topics.ts'
import type { CallHeaders } from '../../model-client/model-client.ts'
import { callerOf } from '../../runner/caller.ts'
import type { PipelineFailure } from '../../runner/pipeline-request.ts'
import { failureText } from '../../journal/journal-headers.ts'
import { echoed, type HeaderValues, isPassed, pipelineOf, REQUEST_ID_HEADER, VERSION_HEADER } from '../call.ts'
import type { Gateway, InferAnswer } from '../gateway.ts'
import { parseRoute } from './route.ts'

export interface RestDeps {
  readonly gateway: Gateway
  readonly limits: BodyLimits
  /** False while the gateway drains. */
  readonly isAccepting: () => boolean
  readonly tls: WatchedCertificates | undefined
  readonly log: Logger
}

/** Far above Envoy's idle timeout of 4 s, so that it is always Envoy that closes an idle connection. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
const MAX_HEADER_BYTES = 64 * 1024

export function createRestServer(deps: RestDeps): Server {
  const readBody = createBodyReader(deps.limits)
  const answering = (request: IncomingMessage, response: ServerResponse): void => {
    void handle(deps, readBody, request, response)
  }
  const server = createWebServer(deps, answering, { maxHeaderSize: MAX_HEADER_BYTES, noDelay: true })
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  return server
}

async function handle(
  deps: RestDeps,
  readBody: BodyReader,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const result = await answer(deps, readBody, request, response).catch((error: unknown) => {
    const failure = toServingError(error)
    if (failure.code === 'INVARIANT_BROKEN')
      deps.log.error({ pipeline: '', error: failure.stack ?? failure.message }, 'request failed')
    return errorAnswer(failure.httpStatus, failure.code, { error: failure.message, code: failure.code })
  })
  send(request, response, result, !deps.isAccepting())
}

async function answer(
  { gateway, isAccepting }: RestDeps,
  readBody: BodyReader,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const route = parseRoute(request.method ?? '', request.url ?? '')
  const fields = fieldsOf(request)
  const values = valuesOf(fields)
  switch (route.kind) {
    case 'infer': {
      const passed = fields.filter(isForSteps)
      let parsed: InferenceRequest | undefined
      const result = await gateway.infer(
        {
          pipeline: pipelineOf(values, route.name),
          method: 'rest',
          values,
          passed,
          caller: callerOf(goneSignal(response)),
          protocolTimeoutMs: Infinity,
        },
        async () => {
          const body = await readBody(request, response)
          return (parsed = parseRestRequest(body, values(JSON_LENGTH_HEADER).at(-1)))
        },
      )
      return toAnswer(result, parsed, passed)
    }
    case 'metadata':
      return jsonAnswer(200, toRestMetadata(await gateway.metadata(pipelineOf(values, route.name))))
    case 'pipelineReady': {
      const name = pipelineOf(values, route.name)
      const { ready, missing } = await gateway.ready(name)
      return jsonAnswer(ready ? 200 : 424, ready ? { name, ready } : { name, ready, missing })
    }
    case 'live':
      return jsonAnswer(200, { live: true })
    case 'ready':
      return jsonAnswer(isAccepting() ? 200 : 503, { ready: isAccepting() })
  }
}

function toAnswer(
  { end, requestId, version }: InferAnswer,
  request: InferenceRequest | undefined,
  passed: CallHeaders,
): Answer {
  const headers: OutgoingHttpHeaders = { [REQUEST_ID_HEADER]: requestId }
  for (const [name, value] of echoed(passed)) headers[name] = value
  if (version !== 0) headers[VERSION_HEADER] = String(version)
  if (end.kind === 'failed') return withHeaders(failureAnswer(end.failure), headers)
  if (end.routes.length > 0) headers[ROUTE_HEADER] = end.routes.join(',')
  const inputs = request ?? { id: '', parameters: {}, inputs: [], outputs: [] }
  try {
    return withHeaders(tensorsAnswer(toRestResponse(end.response, inputs)), headers)
  } catch (error) {
    const failure = toServingError(error) // an output that JSON cannot hold
    return withHeaders(
      errorAnswer(failure.httpStatus, failure.code, { error: failure.message, code: failure.code }),
      headers,
    )
  }
}

const failureAnswer = (failure: PipelineFailure): Answer =>
  errorAnswer(failure.httpStatus, failure.code, {
    error: failureText(failure),
    code: failure.code,
    source: failure.source,
  })

const errorAnswer = (status: number, code: string, content: Readonly<Record<string, string>>): Answer =>
  withHeaders(jsonAnswer(status, content), { [ERROR_CODE_KEY]: code })

const withHeaders = ({ status, headers: own, chunks }: Answer, headers: OutgoingHttpHeaders): Answer => ({
  status,
  headers: Object.assign(headers as Record<string, string | number>, own),
  chunks,
})

/** From the raw list, in which nothing was joined yet: Node's own views of it cost more than all that is asked of them. */
function fieldsOf({ rawHeaders }: IncomingMessage): CallHeaders {
  const fields: (readonly [string, string])[] = []
  for (let index = 0; index + 1 < rawHeaders.length; index += 2)
    fields.push([(rawHeaders[index] ?? '').toLowerCase(), rawHeaders[index + 1] ?? ''])
  return fields
}

function valuesOf(fields: CallHeaders): HeaderValues {
  return (asked) => fields.flatMap(([name, value]) => (name === asked ? [value] : []))
}

/** gRPC carries nothing else. */
const PRINTABLE = /^[\x20-\x7e]*$/

const isForSteps = ([name, value]: CallHeaders[number]): boolean =>
  isPassed(name) && name !== REQUEST_ID_HEADER && PRINTABLE.test(value)
