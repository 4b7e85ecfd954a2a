/** The agent's reverse proxy between real sockets: what passes, unchanged and unbuffered, and what failures look like. */
import { request as openRequest } from 'node:http'
import { constants, type ServerHttp2Stream } from 'node:http2'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { afterEach, describe, expect, test } from 'vitest'
import { pause } from '../../kit/backoff.ts'
import { field, frame, parseFrames } from '../support/grpc-frames.ts'
import { until } from '../support/models.ts'
import { callGrpc, type ProxyRig, startProxyRig } from '../support/proxy-rig.ts'

const MB = 1024 * 1024
/** What kernels, streams and HTTP/2 windows between the two ends may hold of a body that nobody reads. */
const HELD_BYTES = 32 * MB
const BODY_BYTES = 100 * MB
const CHUNK = Buffer.alloc(64 * 1024, 7)
const NAME = { 'seldon-internal-model': 'iris_3' }

let rig: ProxyRig
afterEach(() => rig.stop())

/** Calls that ended, once so many have: a client may have its answer before the proxy is told that it was sent. */
async function untilEnded(count: number): Promise<ProxyRig['ended']> {
  await until('the calls to end', () => rig.ended.length >= count)
  return rig.ended
}

const url = (path: string): string => `http://127.0.0.1:${String(rig.proxy.restPort)}${path}`
const INFER = '/v2/models/iris/infer'

/** A body of `BODY_BYTES` that counts what was taken of it. */
function countedBody(): { readonly stream: Readable; readonly taken: () => number } {
  let taken = 0
  const stream = new Readable({
    highWaterMark: CHUNK.byteLength,
    read() {
      if (taken >= BODY_BYTES) this.push(null)
      else {
        taken += CHUNK.byteLength
        this.push(CHUNK)
      }
    },
  })
  return { stream, taken: () => taken }
}

/** Waits until nothing more is taken, because nobody reads at the other end. */
async function untilHeld(taken: () => number): Promise<void> {
  let last = -1
  await until('the sender to be held back', async () => {
    const before = last
    last = taken()
    await pause(200, new AbortController().signal)
    return last > 0 && last === before
  })
}

async function countBytes(stream: AsyncIterable<Buffer>): Promise<number> {
  let count = 0
  for await (const chunk of stream) count += chunk.byteLength
  return count
}

describe('REST', () => {
  test('passes method, path, query, headers and bodies on, less what belongs to one connection', async () => {
    rig = await startProxyRig()
    let seen: object = {}
    rig.server.onRest = (request, response) => {
      void text(request).then((body) => {
        const { method, url: path, headers } = request
        seen = { method, path, headers, body }
        response.writeHead(400, { 'content-type': 'application/json', 'x-several': ['a', 'b'] }).end('{"error":"mine"}')
      })
    }
    const response = await fetch(url(`${INFER}?a=1`), {
      method: 'POST',
      headers: { ...NAME, 'inference-header-content-length': '5', te: 'trailers' },
      body: '{"id":"x"}',
    })
    expect([response.status, await response.text()]).toEqual([400, '{"error":"mine"}'])
    expect(response.headers.get('x-several')).toBe('a, b')
    expect(seen).toMatchObject({
      method: 'POST',
      path: `${INFER}?a=1`,
      headers: { ...NAME, 'inference-header-content-length': '5', 'content-length': '10' },
      body: '{"id":"x"}',
    })
    expect(seen).not.toHaveProperty('headers.te')
    expect(await untilEnded(1)).toMatchObject([{ internalName: 'iris_3', protocol: 'rest', code: '400' }])
  })

  test('renames the path for a server that reads the name there, and leaves it without the header', async () => {
    rig = await startProxyRig({ nameSource: 'MESSAGE' })
    const paths: (string | undefined)[] = []
    rig.server.onRest = (request, response) => {
      paths.push(request.url)
      request.resume()
      response.end('{}')
    }
    await fetch(url('/v2/models/ir%69s/versions/7/infer?b=2'), { method: 'POST', headers: NAME, body: '{}' })
    await fetch(url('/v2/models/iris'), { headers: NAME })
    await fetch(url('/v2/models/wine_1/ready'))
    expect(paths).toEqual(['/v2/models/iris_3/infer?b=2', '/v2/models/iris_3', '/v2/models/wine_1/ready'])
    expect((await untilEnded(3)).map(({ internalName }) => internalName)).toEqual(['iris_3', 'iris_3', 'wine_1'])
  })

  test.each(['/v2/repository/models/iris_3/unload', '/v2/models/iris/load', '/metrics', '/v2/models/../x/infer'])(
    'never passes %s',
    async (path) => {
      rig = await startProxyRig()
      const response = await fetch(url(path), { method: 'POST', headers: NAME, body: '{}' })
      expect(response.status).toBe(404)
      expect(await response.json()).toMatchObject({ code: 'PATH_NOT_FOUND' })
      expect(rig.ended).toEqual([])
    },
  )

  test('a 100 MB request is held back while the server does not read, and arrives whole', async () => {
    rig = await startProxyRig()
    let read: () => void = () => undefined
    let received = 0
    rig.server.onRest = (request, response) => {
      read = () =>
        void countBytes(request).then((count) => {
          received = count
          response.end('{}')
        })
    }
    const body = countedBody()
    const answered = fetch(url(INFER), { method: 'POST', body: body.stream, duplex: 'half' } as unknown as RequestInit)
    await untilHeld(body.taken)
    expect(body.taken()).toBeLessThan(HELD_BYTES)
    read()
    expect((await answered).status).toBe(200)
    expect(received).toBe(BODY_BYTES)
  })

  test('a 100 MB answer is held back while the client does not read, and arrives whole', async () => {
    rig = await startProxyRig()
    const body = countedBody()
    rig.server.onRest = (request, response) => {
      request.resume()
      body.stream.pipe(response)
    }
    const answer = await new Promise<Readable>((resolve, reject) => {
      openRequest(url(INFER), { method: 'POST' }, resolve).once('error', reject).end('{}')
    })
    await untilHeld(body.taken)
    expect(body.taken()).toBeLessThan(HELD_BYTES)
    expect(await countBytes(answer)).toBe(BODY_BYTES)
  })

  test('a server that is not there is 503, one that dies before or in its answer breaks only what it had', async () => {
    rig = await startProxyRig()
    rig.server.onRest = (request, response) => {
      if (request.url?.endsWith('/ready')) request.socket.destroy()
      else {
        response.writeHead(200, { 'content-length': '100' }).write('half')
        setImmediate(() => request.socket.destroy())
      }
    }
    const before = await fetch(url('/v2/models/iris/ready'), { headers: NAME })
    expect([before.status, await before.json()]).toMatchObject([503, { code: 'SERVER_UNAVAILABLE' }])
    await expect(fetch(url('/v2/models/iris'), { headers: NAME }).then((cut) => cut.text())).rejects.toThrow()
    await rig.server.kill()
    const gone = await fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}' })
    expect([gone.status, gone.headers.get('x-millrace-error-code')]).toEqual([503, 'SERVER_UNREACHABLE'])
    expect((await untilEnded(3)).map(({ code }) => code)).toEqual(['503', '200', '503'])
  })

  test('a client that leaves takes its request from the server', async () => {
    rig = await startProxyRig()
    const left = new Promise<void>((resolve) => {
      rig.server.onRest = (_request, response) => {
        response.once('close', resolve)
        leave.abort()
      }
    })
    const leave = new AbortController()
    const request = fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}', signal: leave.signal })
    await expect(request).rejects.toThrow()
    await left
    expect(await untilEnded(1)).toMatchObject([{ internalName: 'iris_3', code: '0' }])
    expect(rig.traffic.uses().get('iris_3')?.inFlight).toBe(0)
  })

  test('keeps its connections to the server, and no more of them than it may', async () => {
    rig = await startProxyRig({ maxConnections: 4 })
    const sockets = new Set<unknown>()
    rig.server.onRest = (request, response) => {
      sockets.add(request.socket)
      request.resume()
      setImmediate(() => response.end('{}'))
    }
    const calls = Array.from({ length: 200 }, () => fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}' }))
    expect((await Promise.all(calls)).every(({ status }) => status === 200)).toBe(true)
    expect(sockets.size).toBeLessThanOrEqual(4)
    expect(await untilEnded(200)).toHaveLength(200)
  })

  test('beyond its bound it refuses at once: 429, and RESOURCE_EXHAUSTED', async () => {
    rig = await startProxyRig({ maxRequests: 2 })
    const answers: (() => void)[] = []
    rig.server.onRest = (_request, response) => answers.push(() => response.end('{}'))
    const held = [1, 2].map(() => fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}' }))
    await until('both at the server', () => answers.length === 2)
    expect(rig.traffic.uses().get('iris_3')).toMatchObject({ inFlight: 2 })
    expect((await fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}' })).status).toBe(429)
    expect((await callGrpc(rig.client, [frame(new Uint8Array())], NAME)).headers['grpc-status']).toBe('8')
    for (const answer of answers) answer()
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200])
  })

  test('stopping ends nothing that is in flight within its deadline, and takes nothing new', async () => {
    rig = await startProxyRig({ drainDeadlineMs: 20_000 })
    let answer: () => void = () => undefined
    const arrived = new Promise<void>((resolve) => {
      rig.server.onRest = (_request, response) => {
        answer = () => response.end('{}')
        resolve()
      }
    })
    const inFlight = fetch(url(INFER), { method: 'POST', headers: NAME, body: '{}' })
    await arrived
    const stopping = performance.now()
    const stopped = rig.proxy.stop()
    const isTaken = () => fetch(url('/metrics')).then(Boolean, () => false)
    await until('nothing new to be taken', async () => !(await isTaken()))
    answer()
    expect((await inFlight).status).toBe(200)
    await stopped
    expect(performance.now() - stopping).toBeLessThan(10_000)
  })
})

describe('gRPC', () => {
  const readAll = async (stream: ServerHttp2Stream): Promise<Buffer> => {
    const parts: Buffer[] = []
    for await (const part of stream) parts.push(part as Buffer)
    return Buffer.concat(parts)
  }
  const endWith = (stream: ServerHttp2Stream, trailers: Record<string, string>, ...messages: Uint8Array[]): void => {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-own': 'head' }, { waitForTrailers: true })
    stream.once('wantTrailers', () => {
      stream.sendTrailers(trailers)
    })
    for (const message of messages) stream.write(message)
    stream.end()
  }

  test('messages, headers, status, message and trailers of the server are as they were, both ways', async () => {
    rig = await startProxyRig()
    let received = {}
    rig.server.onGrpc = (stream, headers) => {
      void readAll(stream).then((body) => {
        received = { body, headers }
        endWith(stream, { 'grpc-status': '3', 'grpc-message': 'tensor%20x', 'own-bin': 'AAE=' }, frame(field(1, 'a')))
      })
    }
    const sent = frame(field(1, 'iris'))
    const answer = await callGrpc(rig.client, [sent], { ...NAME, te: 'trailers', 'seldon-model': 'iris' })
    expect(received).toMatchObject({ body: sent, headers: { ...NAME, te: 'trailers', 'seldon-model': 'iris' } })
    expect(answer.headers['x-own']).toBe('head')
    expect(answer.trailers).toMatchObject({ 'grpc-status': '3', 'grpc-message': 'tensor%20x', 'own-bin': 'AAE=' })
    expect(answer.body.equals(frame(field(1, 'a')))).toBe(true)
    expect(await untilEnded(1)).toMatchObject([{ internalName: 'iris_3', protocol: 'grpc', code: '3' }])
  })

  test('an answer of trailers alone stays one', async () => {
    rig = await startProxyRig()
    rig.server.onGrpc = (stream) => {
      stream.respond({ ':status': 200, 'grpc-status': '5', 'grpc-message': 'no' }, { endStream: true })
    }
    const answer = await callGrpc(rig.client, [frame(new Uint8Array())], NAME)
    expect(answer.headers).toMatchObject({ 'grpc-status': '5', 'grpc-message': 'no' })
    expect(answer.trailers).toEqual({})
    expect(await untilEnded(1)).toMatchObject([{ code: '5' }])
  })

  test('every message of a stream is renamed for a server that reads the name there', async () => {
    rig = await startProxyRig({ nameSource: 'MESSAGE' })
    let received: Uint8Array = new Uint8Array()
    rig.server.onGrpc = (stream) => {
      void readAll(stream).then((body) => {
        received = body
        endWith(stream, { 'grpc-status': '0' })
      })
    }
    const messages = [field(1, 'iris'), new Uint8Array(), Buffer.concat([field(1, 'a'), field(2, '7')])]
    const path = '/inference.GRPCInferenceService/ModelStreamInfer'
    const sent = Buffer.concat(messages.map((message) => frame(message)))
    const pieces = [sent.subarray(0, 3), sent.subarray(3, 8), sent.subarray(8)]
    await callGrpc(rig.client, pieces, { ...NAME, 'content-length': String(sent.byteLength) }, path)
    const suffix = Buffer.concat([field(1, 'iris_3'), field(2, '')])
    expect(parseFrames(received)).toEqual(messages.map((message) => Buffer.concat([message, suffix])))
  })

  test('without the header nothing is renamed; compressed messages that would be are refused', async () => {
    rig = await startProxyRig({ nameSource: 'MESSAGE' })
    rig.server.onGrpc = (stream) => {
      void readAll(stream).then((body) => {
        endWith(stream, { 'grpc-status': '0' }, body)
      })
    }
    const sent = frame(field(1, 'iris_3'))
    expect((await callGrpc(rig.client, [sent])).body.equals(sent)).toBe(true)
    const refused = await callGrpc(rig.client, [frame(field(1, 'iris'), 1)], NAME)
    expect(refused.headers['grpc-status']).toBe('12')
    expect((await untilEnded(2)).map(({ internalName, code }) => [internalName, code])).toEqual([
      ['_unnamed', '0'],
      ['iris_3', '12'],
    ])
  })

  test('repository methods never pass', async () => {
    rig = await startProxyRig()
    const path = '/inference.GRPCInferenceService/RepositoryModelUnload'
    expect((await callGrpc(rig.client, [frame(new Uint8Array())], NAME, path)).headers['grpc-status']).toBe('12')
  })

  test('a 100 MB message is held back while the server does not read, and arrives whole', async () => {
    rig = await startProxyRig({ nameSource: 'MESSAGE' })
    let read: () => void = () => undefined
    let received = 0
    rig.server.onGrpc = (stream) => {
      read = () =>
        void countBytes(stream).then((count) => {
          received = count
          endWith(stream, { 'grpc-status': '0' })
        })
    }
    const body = countedBody()
    const head = Buffer.alloc(5)
    head.writeUInt32BE(BODY_BYTES, 1)
    const call = rig.client.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      ...NAME,
    })
    call.resume()
    const closed = new Promise((resolve) => call.once('close', resolve))
    call.write(head)
    body.stream.pipe(call)
    await untilHeld(body.taken)
    expect(body.taken()).toBeLessThan(HELD_BYTES)
    read()
    await closed
    expect(received).toBe(5 + BODY_BYTES + field(1, 'iris_3').byteLength + 2)
  })

  test('a slow reader holds its own stream back and no other', async () => {
    rig = await startProxyRig()
    const body = countedBody()
    rig.server.onGrpc = (stream, headers) => {
      stream.resume()
      if (headers['seldon-internal-model'] === 'quick_1') {
        endWith(stream, { 'grpc-status': '0' })
        return
      }
      stream.respond({ ':status': 200 }, { waitForTrailers: true })
      stream.once('wantTrailers', () => {
        stream.sendTrailers({ 'grpc-status': '0' })
      })
      body.stream.pipe(stream)
    }
    const slow = rig.client.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      ...NAME,
    })
    slow.end()
    await untilHeld(body.taken)
    expect(body.taken()).toBeLessThan(HELD_BYTES)
    const quick = await callGrpc(rig.client, [], { 'seldon-internal-model': 'quick_1' })
    expect(quick.trailers['grpc-status']).toBe('0')
    expect(await countBytes(slow)).toBe(BODY_BYTES)
  })

  test('a server that is not there, or is killed in the middle, is UNAVAILABLE', async () => {
    rig = await startProxyRig()
    const begun = new Promise<void>((resolve) => {
      rig.server.onGrpc = (stream) => {
        stream.respond({ ':status': 200 }, { waitForTrailers: true })
        stream.write(frame(field(1, 'half')))
        resolve()
      }
    })
    const cut = callGrpc(rig.client, [frame(new Uint8Array())], NAME)
    await begun
    await rig.server.kill()
    expect((await cut).trailers['grpc-status']).toBe('14')
    const gone = await callGrpc(rig.client, [frame(new Uint8Array())], NAME)
    expect(gone.headers).toMatchObject({ 'grpc-status': '14', 'x-millrace-error-code': 'SERVER_UNREACHABLE' })
    expect(gone.headers['grpc-message']).toContain('ECONNREFUSED')
    expect((await untilEnded(2)).map(({ code }) => code)).toEqual(['14', '14'])
  })

  test('a client that cancels takes its call from the server', async () => {
    rig = await startProxyRig()
    const left = new Promise<number>((resolve) => {
      rig.server.onGrpc = (stream) => {
        stream.once('close', () => {
          resolve(stream.rstCode)
        })
        call.close(constants.NGHTTP2_CANCEL)
      }
    })
    const call = rig.client.request({
      ':method': 'POST',
      ':path': '/inference.GRPCInferenceService/ModelInfer',
      ...NAME,
    })
    call.write(frame(field(1, 'iris')))
    expect(await left).toBe(constants.NGHTTP2_CANCEL)
    expect(await untilEnded(1)).toMatchObject([{ internalName: 'iris_3', code: '1' }])
  })

  test('200 calls at once are each answered with their own', async () => {
    rig = await startProxyRig()
    rig.server.onGrpc = (stream) => {
      void readAll(stream).then((body) => {
        endWith(stream, { 'grpc-status': '0' }, body)
      })
    }
    const sent = Array.from({ length: 200 }, (_, index) =>
      frame(field(1, `${String(index)}-${'x'.repeat(index * 100)}`)),
    )
    const answers = await Promise.all(sent.map((message) => callGrpc(rig.client, [message], NAME)))
    expect(answers.every(({ body }, index) => body.equals(sent[index] ?? new Uint8Array()))).toBe(true)
    expect(await untilEnded(200)).toHaveLength(200)
    expect(rig.traffic.uses().get('iris_3')).toMatchObject({ inFlight: 0 })
  })
})
