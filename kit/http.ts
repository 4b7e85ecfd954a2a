import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server as WebServer,
  type ServerOptions,
  type ServerResponse,
} from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Server } from 'node:net'
import type { Server as TlsServer, TlsOptions } from 'node:tls'
import { toContext, type WatchedCertificates } from './certificates.ts'
import { ServingError, toServingError } from './errors.ts'
import type { Running } from './lifecycle.ts'
import type { Logger } from './log.ts'
import { notAdmitted, OPEN, type Security } from './security.ts'

export interface HttpAnswer {
  readonly status: number
  readonly body: string
  readonly contentType?: string
}
export type HttpRoutes = Readonly<Record<string, (url: URL) => HttpAnswer | Promise<HttpAnswer>>>

const BASE = 'http://localhost'
/** Asked by those who only want to know whether the process lives: without a token. */
const OPEN_PATHS: readonly string[] = ['/healthz', '/readyz', '/ready']

export const isOpenPath = (pathname: string): boolean => OPEN_PATHS.includes(pathname)

/** Aborts when the client closes the connection before its answer was sent. */
export function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController()
  response.once('close', () => {
    if (!response.writableFinished) controller.abort()
  })
  if (response.destroyed) controller.abort()
  return controller.signal
}

/** An HTTP server, over TLS where that is asked for. */
export function createWebServer(
  { tls }: Pick<Security, 'tls'>,
  listener: RequestListener,
  options: ServerOptions = {},
): WebServer {
  return tls === undefined
    ? createServer(options, listener)
    : followCertificates(createHttpsServer({ ...options, ...toTlsOptions(tls) }, listener), tls)
}

/** For the constructor of any TLS server: what it shows, and whether it asks callers for a certificate. */
export function toTlsOptions(tls: WatchedCertificates): TlsOptions {
  const certificates = tls.current()
  const asked = certificates.ca === undefined ? {} : { requestCert: true, rejectUnauthorized: true }
  return { ...toContext(certificates), ...asked }
}

/** Connections that are made after a change of the certificates get the new ones. */
export function followCertificates<S extends TlsServer>(server: S, tls: WatchedCertificates): S {
  const end = tls.follow((certificates) => {
    server.setSecureContext(toContext(certificates))
  })
  return server.once('close', end)
}

/** A process's own small HTTP port: GET only, exact paths (health and metrics). */
export async function serveHttp(options: {
  host: string
  port: number
  routes: HttpRoutes
  log: Logger
  security?: Security
}): Promise<Running & { readonly port: number }> {
  const { security = OPEN } = options
  const server = createWebServer(security, (request, response) => {
    void answer(options.routes, security, request, response, options.log)
  })
  const port = await listen(server, options.host, options.port)
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

async function answer(
  routes: HttpRoutes,
  { admits }: Security,
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  try {
    const url = URL.canParse(request.url ?? '', BASE) ? new URL(request.url ?? '', BASE) : undefined
    const isOpen = url !== undefined && isOpenPath(url.pathname)
    if (!isOpen && !admits(request.headers.authorization)) throw notAdmitted()
    const route = request.method === 'GET' && url !== undefined ? routes[url.pathname] : undefined
    const result = route && url ? await route(url) : notFound(routes)
    response.writeHead(result.status, { 'content-type': result.contentType ?? 'application/json' }).end(result.body)
  } catch (error) {
    const failure = toServingError(error)
    if (failure.code !== 'UNAUTHENTICATED')
      log.error({ code: failure.code, error: failure.message }, 'http answer failed')
    response
      .writeHead(failure.httpStatus, { 'content-type': 'application/json' })
      .end(JSON.stringify({ error: failure.message, code: failure.code }))
  }
}

const notFound = (routes: HttpRoutes): HttpAnswer => ({
  status: 404,
  body: JSON.stringify({ error: `no such path; have GET ${Object.keys(routes).join(', ')}`, code: 'NOT_FOUND' }),
})

/** Listens. Port 0 takes a free one. @throws ServingError PORT_IN_USE, CONFIG_INVALID (an address that is none) */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const fail = (error: NodeJS.ErrnoException): void => {
      reject(toListenError(error, host, port))
    }
    server.once('error', fail)
    server.listen(port, host, () => {
      server.off('error', fail)
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}

/** Of any server that could not listen: taken by somebody, or never usable. */
export function toListenError(error: Error, host: string, port: number): ServingError {
  const subject = `port ${String(port)} on ${host}`
  return error.message.includes('EADDRINUSE')
    ? new ServingError('PORT_IN_USE', `${subject} is in use`, { cause: error })
    : new ServingError('CONFIG_INVALID', `${subject} cannot be used: ${error.message}`, { cause: error })
}
