/** The REST interface: node's http server in front of the repository. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { asObject, parseJson } from '../../api/oip/json.ts'
import { toRestMetadata } from '../../api/oip/metadata.ts'
import { JSON_LENGTH_HEADER } from '../../api/oip/rest-message.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { toRestResponse } from '../../api/oip/rest-response.ts'
import { toServingError } from '../../kit/errors.ts'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { createWebServer, goneSignal } from '../../kit/http.ts'
import type { Security } from '../../kit/security.ts'
import type { Deps } from '../deps.ts'
import { INTERNAL_NAME_KEY, lastOf } from '../internal-name.ts'
import { type Answer, jsonAnswer, send, tensorsAnswer } from '../../api/oip/rest-answer.ts'
import { type BodyReader, createBodyReader } from '../../kit/http-body.ts'
import { parseRoute, type Route } from './route.ts'

/** Far above Envoy's idle timeout of 4 s, so that it is always Envoy that closes an idle connection. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000

export function createRestServer(deps: Deps, security: Pick<Security, 'tls'>): Server {
  const readBody = createBodyReader(deps.limits)
  const server = createWebServer(security, (request, response) => {
    void handle(deps, readBody, request, response)
  })
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  return server
}

async function handle(
  deps: Deps,
  readBody: BodyReader,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const result = await answer(deps, readBody, request, response).catch((error: unknown) => toErrorAnswer(deps, error))
  send(request, response, result, !deps.isReady())
}

function toErrorAnswer(deps: Deps, error: unknown): Answer {
  const failure = toServingError(error)
  if (failure.code === 'INVARIANT_BROKEN') deps.log.error({ error: failure.message }, 'request failed')
  const answer = jsonAnswer(failure.httpStatus, { error: failure.message })
  return { ...answer, headers: { ...answer.headers, [ERROR_CODE_KEY]: failure.code } }
}

async function answer(
  deps: Deps,
  readBody: BodyReader,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<Answer> {
  const { repository } = deps
  const route = parseRoute(request.method ?? '', request.url ?? '')
  switch (route.kind) {
    case 'infer': {
      const body = await readBody(request, response)
      const parsed = parseRestRequest(body, lastOf(request.headers[JSON_LENGTH_HEADER]))
      const result = await repository.infer(targetOf(request, route), parsed, goneSignal(response))
      return tensorsAnswer(toRestResponse(result, parsed))
    }
    case 'modelMetadata':
      return jsonAnswer(200, toRestMetadata(repository.metadata(targetOf(request, route))))
    case 'modelReady': {
      const name = targetOf(request, route)
      const ready = repository.isReady(name)
      return jsonAnswer(ready ? 200 : 400, { name, ready })
    }
    case 'live':
      return jsonAnswer(200, { live: true })
    case 'ready':
      return jsonAnswer(deps.isReady() ? 200 : 400, { ready: deps.isReady() })
    case 'serverMetadata':
      return jsonAnswer(200, deps.identity)
    case 'index': {
      const onlyReady = readyFilter(await readBody(request, response))
      const entries = await repository.index()
      return jsonAnswer(
        200,
        entries.filter((entry) => !onlyReady || entry.state === 'READY'),
      )
    }
    case 'load':
      await repository.load(route.model)
      return jsonAnswer(200, {})
    case 'unload':
      await repository.unload(route.model)
      return jsonAnswer(200, {})
  }
}

/** The internal name that Envoy adds, else the name in the path. */
function targetOf(request: IncomingMessage, route: Extract<Route, { model: string }>): string {
  return lastOf(request.headers[INTERNAL_NAME_KEY]) ?? route.model
}

const readyFilter = (body: Buffer): boolean =>
  body.byteLength > 0 && asObject(parseJson(body.toString('utf8')), 'the body')['ready'] === true
