import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { ServingError, toServingError } from './errors.ts'
import type { Running } from './lifecycle.ts'
import type { Logger } from './log.ts'

export interface HttpAnswer {
  readonly status: number
  readonly body: string
  readonly contentType?: string
}
export type HttpRoutes = Readonly<Record<string, (url: URL) => HttpAnswer | Promise<HttpAnswer>>>

/** A process's own small HTTP port: GET only, exact paths (health and metrics). */
export async function serveHttp(options: {
  host: string
  port: number
  routes: HttpRoutes
  log: Logger
}): Promise<Running & { readonly port: number }> {
  const server = createServer((request, response) => {
    void answer(options.routes, request, response, options.log)
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
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  try {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const route = request.method === 'GET' ? routes[url.pathname] : undefined
    const result = route
      ? await route(url)
      : { status: 404, body: `{"error":"no such path; have ${Object.keys(routes).join(', ')}"}` }
    response.writeHead(result.status, { 'content-type': result.contentType ?? 'application/json' }).end(result.body)
  } catch (error) {
    const failure = toServingError(error)
    log.error({ code: failure.code, error: failure.message }, 'http answer failed')
    response
      .writeHead(failure.httpStatus, { 'content-type': 'application/json' })
      .end(JSON.stringify({ error: failure.message, code: failure.code }))
  }
}

/** Listens, or throws PORT_IN_USE naming the port. Port 0 takes a free one. */
export function listen(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(
        error.code === 'EADDRINUSE'
          ? new ServingError('PORT_IN_USE', `port ${String(port)} on ${host} is in use`, { cause: error })
          : toServingError(error),
      )
    })
    server.listen(port, host, () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : port)
    })
  })
}
