/** What Envoy's ingress does for a caller that speaks gRPC over HTTP/1.1, before a server that wants HTTP/2. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, constants, type IncomingHttpHeaders } from 'node:http2'
import { listen } from '../../kit/http.ts'

export interface Http1Grpc {
  readonly port: number
  stop(): Promise<void>
}

/** `target` is the port of the server. */
export async function startHttp1Grpc(target: number): Promise<Http1Grpc> {
  const session = connect(`http://127.0.0.1:${String(target)}`)
  session.on('error', () => undefined) // the server is gone: so are its calls

  const pass = (request: IncomingMessage, response: ServerResponse): void => {
    const { host = '', te: _te, connection: _connection, 'transfer-encoding': _encoding, ...headers } = request.headers
    const stream = session.request({ ...headers, ':method': 'POST', ':path': request.url ?? '', ':authority': host })
    let ended: IncomingHttpHeaders = {}
    stream.on('response', (received) => {
      response.writeHead(Number(received[':status']), toFields(received))
    })
    stream.on('trailers', (received) => {
      ended = received
    })
    stream.on('data', (chunk: Buffer) => response.write(chunk))
    stream.on('end', () => {
      response.addTrailers(toFields(ended))
      response.end()
    })
    stream.on('error', () => response.destroy())
    response.once('close', () => {
      if (!response.writableFinished) stream.close(constants.NGHTTP2_CANCEL)
    })
    request.pipe(stream)
  }

  const server = createServer(pass)
  const port = await listen(server, '127.0.0.1', 0)
  return {
    port,
    stop: () =>
      new Promise((resolve) => {
        session.destroy()
        server.close(() => {
          resolve()
        })
        server.closeAllConnections()
      }),
  }
}

const toFields = (headers: IncomingHttpHeaders): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) => (name.startsWith(':') ? [] : [[name, String(value)]])),
  )
