/** An agent's proxy in front of a model server whose answers a test writes: HTTP/1.1 and HTTP/2 by handlers. */
import { createServer as createHttp1Server, type RequestListener, type Server as Http1Server } from 'node:http'
import {
  type ClientHttp2Session,
  connect,
  createServer as createHttp2Server,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { type Proxy, type ProxyOptions, startProxy } from '../../agent/proxy/proxy.ts'
import { createTraffic, type EndedCall, type Traffic } from '../../agent/proxy/traffic.ts'
import { listen } from '../../kit/http.ts'
import { silentLogger } from '../../kit/log.ts'

const HOST = '127.0.0.1'

export type StreamListener = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void

export interface ScriptedServer {
  readonly restPort: number
  readonly grpcPort: number
  onRest: RequestListener
  onGrpc: StreamListener
  /** As `kill -9`: connections break, nobody listens. */
  kill(): Promise<void>
}

export interface ProxyRig {
  readonly server: ScriptedServer
  readonly proxy: Proxy
  readonly traffic: Traffic
  readonly ended: readonly EndedCall[]
  /** A client's connection to the gRPC port. */
  readonly client: ClientHttp2Session
  stop(): Promise<void>
}

export async function startProxyRig(overrides: Partial<ProxyOptions> = {}): Promise<ProxyRig> {
  const server = await startScriptedServer()
  const ended: EndedCall[] = []
  const maxRequests = overrides.maxRequests ?? 256
  const traffic = createTraffic({
    maxRequests,
    onEnd: (call) => ended.push(call),
    nowMs: () => performance.now(),
    epochMs: Date.now,
  })
  const proxy = await startProxy({
    host: HOST,
    restPort: 0,
    grpcPort: 0,
    server: { host: HOST, restPort: server.restPort, grpcPort: server.grpcPort },
    tls: undefined,
    serverTls: undefined,
    nameSource: 'HEADER',
    maxConnections: 64,
    maxRequests,
    drainDeadlineMs: 500,
    traffic,
    log: silentLogger,
    ...overrides,
  })
  const client = connect(`http://${HOST}:${String(proxy.grpcPort)}`)
  client.on('error', () => undefined) // a stopped proxy ends it
  return {
    server,
    proxy,
    traffic,
    ended,
    client,
    stop: async () => {
      client.destroy()
      await proxy.stop()
      await server.kill()
    },
  }
}

async function startScriptedServer(): Promise<ScriptedServer> {
  const scripted = {
    onRest: ((_request, response) => response.writeHead(500).end()) as RequestListener,
    onGrpc: ((stream) => {
      stream.close()
    }) as StreamListener,
  }
  const rest = createHttp1Server((request, response) => {
    scripted.onRest(request, response)
  })
  const grpc = createHttp2Server()
  const sessions = new Set<ServerHttp2Session>()
  grpc.on('session', (session) => sessions.add(session))
  grpc.on('stream', (stream, headers) => {
    stream.on('error', () => undefined)
    scripted.onGrpc(stream, headers)
  })
  const [restPort, grpcPort] = [await listen(rest, HOST, 0), await listen(grpc, HOST, 0)]
  return Object.assign(scripted, {
    restPort,
    grpcPort,
    kill: async () => {
      rest.closeAllConnections()
      for (const session of sessions) session.destroy()
      await Promise.all([rest, grpc].map(closed))
    },
  })
}

const closed = (server: Http1Server | Http2Server): Promise<unknown> => new Promise((done) => server.close(done))

export interface GrpcAnswer {
  readonly headers: IncomingHttpHeaders
  readonly trailers: IncomingHttpHeaders
  readonly body: Buffer
  readonly rstCode: number
}

/** One gRPC call by hand; `messages` are frames, already whole. */
export function callGrpc(
  client: ClientHttp2Session,
  messages: readonly Uint8Array[],
  headers: Readonly<Record<string, string>> = {},
  path = '/inference.GRPCInferenceService/ModelInfer',
): Promise<GrpcAnswer> {
  return new Promise((resolve) => {
    const stream = client.request({ ':method': 'POST', ':path': path, 'content-type': 'application/grpc', ...headers })
    let answer: IncomingHttpHeaders = {}
    let trailers: IncomingHttpHeaders = {}
    const parts: Buffer[] = []
    stream.on('response', (received) => {
      answer = received
    })
    stream.on('trailers', (received) => {
      trailers = received
    })
    stream.on('data', (part: Buffer) => parts.push(part))
    stream.on('error', () => undefined) // `close` tells
    stream.on('close', () => {
      resolve({ headers: answer, trailers, body: Buffer.concat(parts), rstCode: stream.rstCode ?? 0 })
    })
    for (const message of messages) stream.write(message)
    stream.end()
  })
}
