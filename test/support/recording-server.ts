/** A model server that only writes down what reaches it, over HTTP/1 and over HTTP/2, and answers 200 or gRPC OK. */
import { createServer as createHttp1Server, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttp2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { field, frame } from './grpc-frames.ts'

export interface Recorded {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Uint8Array
}

export interface RecordingServer {
  readonly restPort: number
  readonly grpcPort: number
  /** All requests since the last `clear`. */
  readonly requests: readonly Recorded[]
  clear(): void
  stop(): Promise<void>
}

const ANSWER = frame(field(1, 'recorded'))

export async function startRecordingServer(): Promise<RecordingServer> {
  const requests: Recorded[] = []
  const rest = createHttp1Server((request, response) => void recordRest(request, response, requests))
  const grpc = createHttp2Server()
  grpc.on('stream', (stream, headers) => void recordGrpc(stream, headers, requests))
  const sessions = new Set<{ destroy(): void }>()
  grpc.on('session', (session) => sessions.add(session))
  const [restPort, grpcPort] = await Promise.all([rest, grpc].map(listen))
  if (restPort === undefined || grpcPort === undefined) throw new Error('the recording server has no ports')
  return {
    restPort,
    grpcPort,
    requests,
    clear: () => {
      requests.length = 0
    },
    stop: async () => {
      rest.closeAllConnections()
      for (const session of sessions) session.destroy()
      await Promise.all([rest, grpc].map((server) => new Promise((done) => server.close(done))))
    },
  }
}

function listen(server: ReturnType<typeof createHttp1Server | typeof createHttp2Server>): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      resolve((server.address() as AddressInfo).port)
    })
  })
}

async function recordRest(request: IncomingMessage, response: ServerResponse, requests: Recorded[]): Promise<void> {
  const body = await readAll(request)
  requests.push({ method: request.method ?? '', path: request.url ?? '', headers: request.headers, body })
  response.setHeader('content-type', 'application/json')
  response.end('{"recorded":true}')
}

async function recordGrpc(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  requests: Recorded[],
): Promise<void> {
  stream.on('error', () => stream.destroy()) // a client that goes away is a case of these tests
  const body = await readAll(stream)
  requests.push({ method: headers[':method'] ?? '', path: headers[':path'] ?? '', headers, body })
  if (stream.destroyed) return
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
  stream.once('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': '0' })
  })
  stream.end(ANSWER)
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  try {
    for await (const chunk of stream) chunks.push(chunk)
  } catch {
    // Aborted by the client: what came is what is recorded.
  }
  return Buffer.concat(chunks)
}
