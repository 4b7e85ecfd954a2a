/** REST: HTTP/1.1 in front of the model server. Bodies pass as they come, both ways; a slow side slows the other. */
import { Agent, type IncomingMessage, request as openRequest, type ServerResponse } from 'node:http'
import { Agent as TlsAgent, request as openTlsRequest } from 'node:https'
import { toContext } from '../../kit/certificates.ts'
import { ServingError } from '../../kit/errors.ts'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { createWebServer, listen } from '../../kit/http.ts'
import { INTERNAL_NAME_KEY, internalNameOf, parseRestCall, type RestCall, toServerPath } from './calls.ts'
import { type ProxyDeps, type ProxyListener, toOverloadedError, toServerError, UNNAMED } from './proxy-deps.ts'
import { endToEnd } from './rest-headers.ts'

/** Far above Envoy's idle timeout of 4 s, so that it is always Envoy that closes an idle connection. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000
/** Below the 5 s after which MLServer closes an idle connection: one that is about to close is never used. */
const IDLE_UPSTREAM_MS = 4_000
/** A connection carries one request; some are idle. */
const CONNECTIONS_PER_REQUEST = 2
/** The client left before an answer. */
const NO_ANSWER = '0'

/** @throws ServingError PORT_IN_USE, CONFIG_INVALID */
export async function startRestProxy(deps: ProxyDeps, port: number): Promise<ProxyListener> {
  const agent = new (deps.serverTls === undefined ? Agent : TlsAgent)({
    keepAlive: true,
    maxSockets: deps.maxConnections,
    maxFreeSockets: deps.maxConnections,
    timeout: IDLE_UPSTREAM_MS, // of idle ones: a request that lasts longer is not ended by it
  })
  let stopping = false
  const server = createWebServer(deps, (request, response) => {
    if (stopping) response.setHeader('connection', 'close')
    response.once('close', () => {
      if (stopping) request.socket.end() // begun before, its answer promised to keep the connection
    })
    handle(deps, agent, request, response)
  })
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS
  server.requestTimeout = 0 // Envoy bounds a request; a large body over a slow line may take long
  server.maxConnections = CONNECTIONS_PER_REQUEST * deps.maxRequests
  const listening = await listen(server, deps.host, port)
  return {
    port: listening,
    retire: () => {
      stopping = true
    },
    drain: () =>
      new Promise((resolve) => {
        server.close(() => {
          agent.destroy()
          resolve()
        })
      }),
    destroy: () => {
      server.closeAllConnections()
    },
  }
}

function handle(deps: ProxyDeps, agent: Agent, request: IncomingMessage, response: ServerResponse): void {
  const call = parseRestCall(request.method ?? '', request.url ?? '')
  if (call === undefined) {
    refuse(
      response,
      new ServingError('PATH_NOT_FOUND', `${request.method ?? ''} ${request.url ?? ''} is no call of a model`),
    )
    return
  }
  const internalName = internalNameOf(request.headers[INTERNAL_NAME_KEY])
  const use = deps.traffic.begin(internalName ?? internalNameOf(call.name) ?? UNNAMED, 'rest')
  response.once('close', () => {
    use.end(response.headersSent ? String(response.statusCode) : NO_ANSWER)
  })
  if (use.admitted) forward(deps, agent, request, response, pathOf(deps, request, call, internalName))
  else refuse(response, toOverloadedError(deps.maxRequests))
}

function pathOf(deps: ProxyDeps, request: IncomingMessage, call: RestCall, internalName: string | undefined): string {
  const isRenamed = deps.nameSource === 'MESSAGE' && internalName !== undefined
  return isRenamed ? toServerPath(call, internalName) : (request.url ?? '')
}

function forward(
  { server, serverTls, log }: ProxyDeps,
  agent: Agent,
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
): void {
  const upstream = (serverTls === undefined ? openRequest : openTlsRequest)({
    ...(serverTls && toContext(serverTls.current())),
    agent,
    host: server.host,
    port: server.restPort,
    method: request.method,
    path,
    headers: endToEnd(request.rawHeaders, request.headers.connection),
  })
  upstream.once('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, endToEnd(answer.rawHeaders, answer.headers.connection))
    answer.once('error', () => response.destroy()) // cut off: the client must not take it for the whole
    answer.pipe(response)
  })
  upstream.on('error', (error) => {
    request.unpipe(upstream)
    if (response.headersSent || response.destroyed) return // what was begun ends with `answer`
    log.debug({ path, error: error.message }, 'model server gave no answer')
    refuse(response, toServerError(error))
  })
  response.once('close', () => {
    if (!response.writableFinished) upstream.destroy() // the client is gone
  })
  request.pipe(upstream)
}

function refuse(response: ServerResponse, error: ServingError): void {
  response
    .writeHead(error.httpStatus, { 'content-type': 'application/json', [ERROR_CODE_KEY]: error.code })
    .end(JSON.stringify({ error: error.message, code: error.code }))
}
