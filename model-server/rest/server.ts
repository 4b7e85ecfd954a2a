/** The REST interface: node's http server in front of the repository. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { asObject, parseJson } from '../../api/oip/json.ts'
import { toRestMetadata } from '../../api/oip/metadata.ts'
import { JSON_LENGTH_HEADER, type RestBody } from '../../api/oip/rest-message.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { toRestResponse } from '../../api/oip/rest-response.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Deps } from '../deps.ts'
import { INTERNAL_NAME_KEY, lastOf } from '../internal-name.ts'
import { readBody } from './body.ts'
import { parseRoute } from './route.ts'

/** Far above Envoy's idle timeout of 4 s, so that it is always Envoy that closes an idle connection. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
/** How long a client that was refused may go on sending before its connection is closed. */
const LINGER_MS = 1_000

export function createRestServer(deps: Deps): Server {
  const server = createServer((request, response) => {
    void handle(deps, request, response)
  })
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  return server
}

async function handle(deps: Deps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    await answer(deps, request, response)
  } catch (error) {
    const failure = toServingError(error)
    if (failure.code === 'INVARIANT_BROKEN') deps.log.error({ error: failure.message }, 'request failed')
    sendJson(request, response, failure.httpStatus, { error: failure.message })
  }
}

async function answer(deps: Deps, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { repository } = deps
  const route = parseRoute(request.method ?? '', request.url ?? '')
  switch (route.kind) {
    case 'infer': {
      const body = await readBody(request, deps.maxRequestBytes)
      const parsed = parseRestRequest(body, lastOf(request.headers[JSON_LENGTH_HEADER]))
      const result = await repository.infer(targetOf(request, route.model), parsed, goneSignal(response))
      sendTensors(response, toRestResponse(result, parsed))
      return
    }
    case 'modelMetadata':
      sendJson(request, response, 200, toRestMetadata(repository.metadata(targetOf(request, route.model))))
      return
    case 'modelReady': {
      const name = targetOf(request, route.model)
      const ready = repository.isReady(name)
      sendJson(request, response, ready ? 200 : 400, { name, ready })
      return
    }
    case 'live':
      sendJson(request, response, 200, { live: true })
      return
    case 'ready':
      sendJson(request, response, deps.isReady() ? 200 : 400, { ready: deps.isReady() })
      return
    case 'serverMetadata':
      sendJson(request, response, 200, deps.identity)
      return
    case 'index': {
      const onlyReady = await readyFilter(request, deps.maxRequestBytes)
      const entries = await repository.index()
      sendJson(
        request,
        response,
        200,
        entries.filter((entry) => !onlyReady || entry.state === 'READY'),
      )
      return
    }
    case 'load':
      await repository.load(route.model)
      sendJson(request, response, 200, {})
      return
    case 'unload':
      await repository.unload(route.model)
      sendJson(request, response, 200, {})
  }
}

/** The internal name that Envoy adds, else the name in the path. */
const targetOf = (request: IncomingMessage, pathName: string): string =>
  lastOf(request.headers[INTERNAL_NAME_KEY]) ?? pathName

/** Aborts when the client closes the connection before its answer was sent. */
function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  if (response.destroyed) controller.abort()
  return controller.signal
}

async function readyFilter(request: IncomingMessage, maxBytes: number): Promise<boolean> {
  const body = await readBody(request, maxBytes)
  return body.byteLength > 0 && asObject(parseJson(body.toString('utf8')), 'the body')['ready'] === true
}

function sendTensors(response: ServerResponse, body: RestBody): void {
  const binary = body.jsonLength !== undefined
  response.writeHead(200, {
    'content-type': binary ? 'application/octet-stream' : 'application/json',
    'content-length': body.byteLength,
    ...(binary ? { [JSON_LENGTH_HEADER]: body.jsonLength } : {}),
  })
  for (const chunk of body.chunks) response.write(chunk)
  response.end()
}

function sendJson(request: IncomingMessage, response: ServerResponse, status: number, answered: unknown): void {
  if (response.destroyed) return
  const text = JSON.stringify(answered)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }
  if (request.complete || status < 400) {
    response.writeHead(status, headers).end(text)
    return
  }
  // The body is still coming in. Closing at once could reset the connection before the client has read the answer.
  response.writeHead(status, { ...headers, connection: 'close' }).write(text)
  const end = (): void => {
    clearTimeout(deadline)
    response.end()
  }
  const deadline = setTimeout(end, LINGER_MS)
  request.once('end', end).once('close', end).resume()
}
