/** The filters in a real Envoy with a static bootstrap, before a server that records what reaches it. */
import { request } from 'undici'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePorts } from '../support/free-ports.ts'
import { concat, cut, field, frame, parseFrames } from '../support/grpc-frames.ts'
import { callRaw } from '../support/http2-call.ts'
import { type RecordingServer, startRecordingServer } from '../support/recording-server.ts'
import { sendBytes } from '../support/raw-socket.ts'
import { type StaticEnvoy, startStaticEnvoy } from '../support/static-envoy.ts'
import { toStaticBootstrap } from '../support/wasm-bootstrap.ts'

let server: RecordingServer
let envoy: StaticEnvoy
let port: number

const SUFFIX = concat(field(1, 'iris_3'), field(2, ''))

beforeAll(async () => {
  server = await startRecordingServer()
  const [listenPort = 0, adminPort = 0] = await freePorts(2)
  port = listenPort
  envoy = await startStaticEnvoy(toStaticBootstrap({ listenPort, adminPort, ...irisOn(server) }), adminPort)
})
afterAll(async () => {
  await envoy.stop()
  await server.stop()
})
beforeEach(() => {
  server.clear()
})

function irisOn({ restPort, grpcPort }: RecordingServer) {
  const endpoint = { id: 'recorder/0', address: '127.0.0.1', restPort, grpcPort, health: 'healthy' as const }
  return {
    servers: { id: 'servers', nameSource: 'message' as const, endpoints: [endpoint] },
    routes: [
      {
        target: 'iris',
        destinations: [{ endpointSetId: 'servers', internalName: 'iris_3', routeToken: ':iris_3:', weight: 1 }],
        timeoutMs: 0,
      },
    ],
  }
}

async function post(path: string, headers: Record<string, string> = {}, method: 'POST' | 'GET' = 'POST') {
  const answer = await request(`http://127.0.0.1:${String(port)}${path}`, {
    method,
    headers: { 'content-type': 'application/json', ...headers },
    ...(method === 'POST' ? { body: '{"inputs":[]}' } : {}),
    signal: AbortSignal.timeout(10_000),
  })
  return { status: answer.statusCode, headers: answer.headers, body: await answer.body.text() }
}

/** Proof that the one worker still serves, and that no VM had to be made anew. */
async function expectStillServing(): Promise<void> {
  expect((await post('/v2/models/iris/infer')).status).toBe(200)
  expect(await callRaw({ port, chunks: [frame(field(1, 'iris'))] })).toMatchObject({ grpcStatus: '0' })
  const reloads = await envoy.stats('vm_reload')
  expect(reloads.size).toBeGreaterThan(0)
  expect([...reloads.values()].every((count) => count === 0)).toBe(true)
  expect(envoy.alive).toBe(true)
}

describe('REST', () => {
  it.each([
    ['by path', '/v2/models/iris/infer', {}],
    ['by path with a version and an escape', '/v2/models/%69ris/versions/9/infer', {}],
    ['by header, whatever the path says', '/v2/models/other/infer', { 'seldon-model': 'iris' }],
    ['with forged headers', '/v2/models/iris/infer', { 'x-millrace-target': 'x', 'seldon-internal-model': 'evil_1' }],
  ])('%s reaches the server under the internal name', async (_, path, headers) => {
    const answer = await post(path, headers)
    expect(answer).toMatchObject({ status: 200, body: '{"recorded":true}' })
    expect(answer.headers['x-seldon-route']).toBe(':iris_3:')
    expect(server.requests).toMatchObject([
      { path: '/v2/models/iris_3/infer', headers: { 'seldon-internal-model': 'iris_3' } },
    ])
  })

  it.each(['/v2/repository/index', '/v2/repository/models/iris/unload', '/v2/models/%2e%2e%2frepository/infer', '/'])(
    '%s is 404 as JSON, and no server sees it',
    async (path) => {
      const answer = await post(path, { 'seldon-model': 'iris' })
      expect(answer.status).toBe(404)
      expect(JSON.parse(answer.body)).toEqual({ error: expect.any(String) })
      expect(server.requests).toEqual([])
    },
  )

  it('health/live is answered without a server', async () => {
    expect(await post('/v2/health/live', {}, 'GET')).toMatchObject({ status: 200, body: '{"live":true}' })
    expect(server.requests).toEqual([])
  })
})

describe('gRPC', () => {
  const message = concat(field(1, 'iris'), field(2, '1'), field(3, 'id'))
  const bytes = frame(message)
  const renamed = Buffer.from(frame(concat(message, SUFFIX)))

  it.each([
    ['with the header', { 'seldon-model': 'iris' }, [bytes]],
    ['with no header at all', {}, [bytes]],
    ['with no header, one byte at a time', {}, cut(bytes, 1)],
    ['with the header and a frame in pieces', { 'seldon-model': 'iris' }, cut(bytes, 3, 4)],
    ['with a content-length', { 'seldon-model': 'iris', 'content-length': String(bytes.length) }, [bytes]],
  ])('%s reaches the server with the internal name', async (_, headers, chunks) => {
    expect(await callRaw({ port, headers, chunks })).toMatchObject({ httpStatus: 200, grpcStatus: '0' })
    expect(server.requests).toHaveLength(1)
    expect(server.requests[0]?.body).toEqual(renamed)
  })

  it('streams are renamed message by message', async () => {
    const messages = Array.from({ length: 50 }, (_, index) => concat(field(1, 'iris'), field(3, String(index))))
    const path = '/inference.GRPCInferenceService/ModelStreamInfer'
    const chunks = cut(concat(...messages.map((each) => frame(each))), 7, 90)
    expect(await callRaw({ port, path, chunks })).toMatchObject({ grpcStatus: '0' })
    expect(parseFrames(server.requests[0]?.body ?? Buffer.alloc(0))).toEqual(
      messages.map((each) => Buffer.from(concat(each, SUFFIX))),
    )
  })

  it.each([
    ['3 MB', 3_000_000, 65_536],
    ['100 MB', 100_000_000, 1_000_000],
  ])('a message of %s passes', async (_, size, chunkSize) => {
    const large = frame(concat(field(1, 'iris'), field(7, Buffer.alloc(size))))
    expect(await callRaw({ port, chunks: cut(large, chunkSize) })).toMatchObject({ grpcStatus: '0' })
    const [received] = parseFrames(server.requests[0]?.body ?? Buffer.alloc(0))
    expect(received).toHaveLength(large.length - 5 + SUFFIX.length)
  })

  it.each(['RepositoryIndex', 'RepositoryModelLoad', 'RepositoryModelUnload', 'Unknown'])(
    '%s is UNIMPLEMENTED, and no server sees it',
    async (method) => {
      const path = `/inference.GRPCInferenceService/${method}`
      const answer = await callRaw({ port, path, headers: { 'seldon-model': 'iris' }, chunks: [bytes] })
      expect(answer).toMatchObject({ httpStatus: 200, grpcStatus: '12' })
      expect(answer.grpcMessage).toContain('is not served here')
      expect(server.requests).toEqual([])
    },
  )

  it.each([
    ['compressed', frame(message, 1), '3', 'send the header seldon-model'],
    ['without a name', frame(field(3, 'id')), '3', 'send the header seldon-model'],
    ['with its name behind 64 KiB', frame(concat(field(7, Buffer.alloc(70_000)), message)), '3', 'send the header'],
    ['of no valid fields', frame(Buffer.alloc(50, 0xff)), '3', 'send the header seldon-model'],
    ['cut off', bytes.subarray(0, 7), '3', 'send the header seldon-model'],
    ['with a name that is none', frame(field(1, '../x')), '3', 'not found'],
  ])('a message %s gets a status that says what to do', async (_, body, grpcStatus, reason) => {
    const answer = await callRaw({ port, chunks: [body] })
    expect(answer).toMatchObject({ httpStatus: 200, grpcStatus })
    expect(answer.grpcMessage).toContain(reason)
    expect(server.requests).toEqual([])
  })

  it('a compressed message for a server that reads names from messages is UNIMPLEMENTED', async () => {
    const answer = await callRaw({ port, headers: { 'seldon-model': 'iris' }, chunks: [frame(message, 1)] })
    expect(answer).toMatchObject({ grpcStatus: '12' })
    expect(answer.grpcMessage).toContain('uncompressed')
  })
})

describe('bytes that no client would send', () => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
  const http2Frame = (type: number, flags: number, stream: number, payload: Uint8Array) => {
    const head = Buffer.alloc(9)
    head.writeUIntBE(payload.length, 0, 3)
    head.writeUInt8(type, 3)
    head.writeUInt8(flags, 4)
    head.writeUInt32BE(stream, 5)
    return concat(head, payload)
  }
  const settings = http2Frame(4, 0, 0, Buffer.alloc(0))
  /** Literal header fields without indexing, no Huffman. */
  const headerBlock = (headers: Record<string, string>) =>
    concat(
      ...Object.entries(headers).map(([name, value]) =>
        concat(
          Buffer.from([0, name.length]),
          Buffer.from(name),
          Buffer.from([value.length]),
          Buffer.from(value, 'latin1'),
        ),
      ),
    )
  const grpcHeaders = http2Frame(
    1,
    4,
    1,
    headerBlock({
      ':method': 'POST',
      ':scheme': 'http',
      ':authority': 'x',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      'content-type': 'application/grpc',
    }),
  )
  const named = Buffer.from(grpcHeaders)

  it.each<[string, Uint8Array]>([
    ['noise', Buffer.from(Array.from({ length: 4_096 }, (_, index) => (index * 167) & 255))],
    ['an HTTP/1 request line of 100 KB', Buffer.from(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`)],
    ['a NUL in the path', Buffer.from('POST /v2/models/i\0s/infer HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')],
    [
      'a model header of high bytes',
      Buffer.concat([
        Buffer.from('GET /v2/models/x HTTP/1.1\r\nhost: x\r\nconnection: close\r\nseldon-model: '),
        Buffer.alloc(300, 0xfe),
        Buffer.from('\r\n\r\n'),
      ]),
    ],
    ['no path at all', Buffer.from('OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')],
    [
      'a chunked body that stops',
      Buffer.from('POST /v2/models/iris/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nff\r\n{'),
    ],
    ['an HTTP/2 preface and noise', concat(preface, Buffer.alloc(500, 0xaa))],
    ['gRPC headers and a connection that ends', concat(preface, settings, grpcHeaders)],
    [
      'a frame that says 4 GB',
      concat(preface, settings, named, http2Frame(0, 1, 1, Buffer.from([0, 255, 255, 255, 255, 10, 4]))),
    ],
    ['half a frame', concat(preface, settings, named, http2Frame(0, 1, 1, Buffer.from([0, 0])))],
    ['an empty data frame at the end', concat(preface, settings, named, http2Frame(0, 1, 1, Buffer.alloc(0)))],
    [
      'a reset in the middle of the message',
      concat(
        preface,
        settings,
        named,
        http2Frame(0, 0, 1, Buffer.from([0, 0, 0, 0, 9, 10])),
        http2Frame(3, 0, 1, Buffer.alloc(4)),
      ),
    ],
    [
      'trailers before the message has come',
      concat(
        preface,
        settings,
        named,
        http2Frame(0, 0, 1, Buffer.from([0, 0, 0, 0, 9])),
        http2Frame(1, 5, 1, headerBlock({ 'x-a': 'b' })),
      ),
    ],
  ])('%s', async (_, bytes) => {
    await sendBytes(port, bytes)
    await expectStillServing()
  })
})
