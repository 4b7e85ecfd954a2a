/** gRPC: HTTP/2 in front of the model server. Messages are never decoded; status and trailers pass as they are. */
import {
  constants,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { status } from '@grpc/grpc-js'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { followCertificates, listen, toTlsOptions } from '../../kit/http.ts'
import { INTERNAL_NAME_KEY, internalNameOf, isModelCall } from './calls.ts'
import { createRenameStream } from './frame-rename.ts'
import { createGrpcUpstream, type GrpcUpstream, SESSION_MEMORY_MB, STREAM_WINDOW_BYTES } from './grpc-upstream.ts'
import { type ProxyDeps, type ProxyListener, toOverloadedError, toServerError, UNNAMED } from './proxy-deps.ts'

/** What belongs to one connection, and what the next one sets for itself. */
const NOT_PASSED: readonly string[] = [':scheme', ':authority', 'host', 'connection', 'keep-alive', 'proxy-connection']

/** @throws ServingError PORT_IN_USE, CONFIG_INVALID */
export async function startGrpcProxy(deps: ProxyDeps, port: number): Promise<ProxyListener> {
  const upstream = createGrpcUpstream(deps.server.host, deps.server.grpcPort, deps.serverTls)
  const sessions = new Set<ServerHttp2Session>()
  const options = {
    maxSessionMemory: SESSION_MEMORY_MB,
    settings: { initialWindowSize: STREAM_WINDOW_BYTES, maxConcurrentStreams: deps.maxRequests },
  }
  const { tls } = deps
  const server =
    tls === undefined
      ? createServer(options)
      : followCertificates(createSecureServer({ ...options, ...toTlsOptions(tls) }), tls)
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  server.on('stream', (stream, headers) => {
    stream.on('error', () => undefined) // of a client that is gone; `close` follows
    handle(deps, upstream, stream, headers)
  })
  server.maxConnections = deps.maxConnections
  const listening = await listen(server, deps.host, port)
  return {
    port: listening,
    retire: () => undefined, // `drain` says GOAWAY, which ends no call
    drain: () =>
      new Promise((resolve) => {
        server.close(() => {
          upstream.close()
          resolve()
        })
        for (const session of sessions) session.close()
      }),
    destroy: () => {
      for (const session of sessions) session.destroy()
      upstream.destroy()
    },
  }
}

function handle(
  deps: ProxyDeps,
  upstream: GrpcUpstream,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
): void {
  const path = headers[':path'] ?? ''
  if (!isModelCall(path)) {
    refuse(stream, new ServingError('PATH_NOT_FOUND', `${path} is no call of a model`))
    return
  }
  const internalName = internalNameOf(headers[INTERNAL_NAME_KEY])
  const use = deps.traffic.begin(internalName ?? UNNAMED, 'grpc')
  let code: string | undefined
  const tell = (told: unknown): void => {
    if (typeof told === 'string' || typeof told === 'number') code ??= String(told)
  }
  stream.once('aborted', () => {
    tell(status.CANCELLED)
  })
  stream.once('close', () => {
    use.end(code ?? String(status.UNKNOWN))
  })
  if (use.admitted) forward(deps, upstream, stream, headers, internalName, tell)
  else tell(refuse(stream, toOverloadedError(deps.maxRequests)))
}

/** `tell` hears the gRPC status that the call ended with. */
function forward(
  deps: ProxyDeps,
  upstream: GrpcUpstream,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  internalName: string | undefined,
  tell: (code: unknown) => void,
): void {
  const isRenamed = deps.nameSource === 'MESSAGE' && internalName !== undefined
  const call = upstream.request(toRequestHeaders(headers, isRenamed))
  let trailers: IncomingHttpHeaders | undefined
  let failure = new Error('it ended the call')

  call.once('response', (answer, flags) => {
    if (stream.destroyed) return
    if ((flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0) {
      tell(answer['grpc-status'])
      stream.respond(passed(answer), { endStream: true })
      return
    }
    stream.respond(passed(answer), { waitForTrailers: true })
    call.pipe(stream)
  })
  call.once('trailers', (sent) => {
    trailers = sent
  })
  stream.once('wantTrailers', () => {
    const last = trailers === undefined ? toStatus(toServerError(failure)) : passed(trailers)
    tell(last['grpc-status'])
    stream.sendTrailers(last)
  })
  call.on('error', (error) => {
    failure = causeOf(error)
  })
  call.once('close', () => {
    if (stream.destroyed) return
    if (!stream.headersSent) tell(refuse(stream, toServerError(failure)))
    else if (!stream.writableEnded) stream.end() // cut off: the trailers say so
    stream.resume() // what the client still sends has no reader any more
  })
  stream.once('close', () => {
    if (!call.closed) call.close(constants.NGHTTP2_CANCEL)
  })
  if (!isRenamed) stream.pipe(call)
  else {
    const renaming = createRenameStream(internalName)
    renaming.once('error', (error) => {
      if (!stream.headersSent) tell(refuse(stream, toServingError(error)))
      call.close(constants.NGHTTP2_CANCEL)
    })
    stream.pipe(renaming).pipe(call)
  }
}

/** Node tells of a broken connection by an error of the stream whose cause is the connection's. */
const causeOf = (error: Error): Error => (error.cause instanceof Error ? error.cause : error)

function toRequestHeaders(headers: IncomingHttpHeaders, isRenamed: boolean): OutgoingHttpHeaders {
  const kept = passed(headers)
  if (isRenamed) delete kept['content-length'] // it becomes longer
  return kept
}

function passed(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  const kept: OutgoingHttpHeaders = { ...headers }
  for (const name of NOT_PASSED) delete kept[name]
  return kept
}

/** Answers with a status and nothing else; returns its code. */
function refuse(stream: ServerHttp2Stream, error: ServingError): number {
  if (!stream.destroyed && !stream.headersSent) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', ...toStatus(error) }, { endStream: true })
    stream.resume()
  }
  return error.grpcStatus
}

const toStatus = (error: ServingError): OutgoingHttpHeaders => ({
  'grpc-status': String(error.grpcStatus),
  'grpc-message': error.message.replaceAll(/[^ -$&-~]/gu, encodeURIComponent), // all that is not plain ASCII, and %
  [ERROR_CODE_KEY]: error.code,
})
