import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { IRIS_REQUEST, type ModelServerProcess, startTestModelServer } from '../support/model-server-process.ts'

let server: ModelServerProcess

afterEach(async () => {
  await server.stop()
})

const sleeping = (ms: number) => ({ document: { platform: 'test', behaviour: { kind: 'sleep', ms } } })
const infer = (model: string, signal?: AbortSignal) =>
  fetch(`${server.url}/v2/models/${model}/infer`, { method: 'POST', body: IRIS_REQUEST, ...(signal ? { signal } : {}) })

/** Sends a request's text on a connection of its own; gives everything answered until the server closes. */
const raw = (text: string | Buffer) =>
  new Promise<string>((resolve, reject) => {
    const { port } = new URL(server.url)
    let answered = ''
    const socket = connect(Number(port), '127.0.0.1', () => socket.write(text))
    socket.setTimeout(30_000, () => socket.destroy(new Error(`no end of the answer; so far: ${answered}`)))
    socket.on('data', (chunk) => (answered += chunk.toString()))
    socket.on('end', () => {
      resolve(answered)
      socket.end()
    })
    socket.on('error', reject)
  })

describe('a body beyond the limit', () => {
  it('is answered 413 by its declared length, before it is sent', async () => {
    server = await startTestModelServer('--max-request-bytes', '1000')
    const answer = await raw('POST /v2/models/a/infer HTTP/1.1\r\nhost: x\r\ncontent-length: 1001\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
    expect(answer).toContain('{"error":"the body is larger than 1000 bytes (--max-request-bytes)"}')
  })

  it('is answered 413 when it grows beyond it in chunks', async () => {
    server = await startTestModelServer('--max-request-bytes', '1000')
    const head = 'POST /v2/models/a/infer HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n'
    const answer = await raw(`${head}400\r\n${'x'.repeat(0x400)}\r\n`)
    expect(answer).toMatch(/^HTTP\/1.1 413 /)
  })
})

describe('all bodies together', () => {
  it('are bounded: one more is answered 429 until another has been answered', async () => {
    server = await startTestModelServer('--max-buffered-bytes', String(IRIS_REQUEST.length + 10))
    server.addModel('slow_1', sleeping(60_000))
    await server.load('slow_1')
    const first = new AbortController()
    const answers = [infer('slow_1', first.signal), infer('slow_1', first.signal)]
    const refused = await Promise.race(answers)
    expect(refused.status).toBe(429)
    expect(await refused.json()).toMatchObject({ error: expect.stringContaining('--max-buffered-bytes') as unknown })
    first.abort()
    await Promise.allSettled(answers)
    server.addModel('fast_1', sleeping(0))
    await server.load('fast_1')
    await expect.poll(async () => (await infer('fast_1')).status).toBe(200)
  })
})

describe('the queue of a model', () => {
  it('is bounded: what does not fit is answered 429, other models are not concerned', async () => {
    server = await startTestModelServer('--max-concurrent-per-model', '1', '--max-queued-per-model', '1')
    server.addModel('slow_1', sleeping(60_000))
    server.addModel('fast_1', sleeping(0))
    await Promise.all(['slow_1', 'fast_1'].map(server.load))
    const gone = new AbortController()
    const answers = [1, 2, 3].map(() => infer('slow_1', gone.signal))
    const refused = await Promise.race(answers) // the other two run and wait
    expect(refused.status).toBe(429)
    expect(await refused.json()).toEqual({ error: 'model slow_1 already has 1 requests running and 1 waiting' })
    expect((await infer('fast_1')).status).toBe(200)
    gone.abort()
    await Promise.allSettled(answers)
  })

  it('frees the places of callers that went away', async () => {
    server = await startTestModelServer('--max-concurrent-per-model', '1', '--max-queued-per-model', '0')
    server.addModel('slow_1', sleeping(60_000))
    await server.load('slow_1')
    const first = new AbortController()
    const answers = [infer('slow_1', first.signal), infer('slow_1')]
    expect((await Promise.race(answers)).status).toBe(429)
    first.abort()
    await expect(Promise.all(answers)).rejects.toThrow()
    // The server sees the closed connection a moment later; then a new caller is let in and waits for the model.
    const deadline = Date.now() + 30_000
    let letIn = false
    while (!letIn && Date.now() < deadline) {
      const probe = new AbortController()
      const answer = infer('slow_1', probe.signal).then(
        (response) => response.status,
        () => 'waiting',
      )
      const timer = setTimeout(() => {
        probe.abort()
      }, 200)
      letIn = (await answer) === 'waiting'
      clearTimeout(timer)
    }
    expect(letIn).toBe(true)
  })
})

describe('while requests are in flight', () => {
  it('an unload and a reload leave them alone', async () => {
    server = await startTestModelServer()
    server.addModel('slow_1', sleeping(4_000))
    await server.load('slow_1')
    let isAnswered = false
    const before = infer('slow_1').finally(() => (isAnswered = true))
    await server.post('/v2/repository/models/slow_1/unload')
    expect((await infer('slow_1')).status).toBe(404)
    expect(isAnswered).toBe(false)
    expect((await before).status).toBe(200)
  })

  it('a reload that fails keeps the model that answers', async () => {
    server = await startTestModelServer()
    server.addModel('m_1', sleeping(0))
    await server.load('m_1')
    server.addModel('m_1', { document: { platform: 'test', behaviour: { kind: 'refuse-load' } } })
    await expect(server.load('m_1')).rejects.toThrow('refused on purpose')
    expect((await infer('m_1')).status).toBe(200)
  })

  it('SIGTERM lets them finish, refuses new connections and exits 0', async () => {
    server = await startTestModelServer('--drain-timeout-ms', '30000')
    server.addModel('slow_1', sleeping(1_000))
    await server.load('slow_1')
    const rest = infer('slow_1')
    const grpc = new Promise((resolve) => {
      const inputs = [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: [1, 2, 3, 4] } }]
      server.client.ModelInfer({ modelName: 'slow_1', inputs }, (error, answer) => {
        resolve(error ?? answer?.modelName)
      })
    })
    await fetch(`${server.url}/v2/health/live`) // by now the others have been accepted
    await new Promise<void>((resolve) => {
      server.client.ServerLive({}, () => {
        resolve()
      })
    })
    const asked = performance.now()
    server.child.kill('SIGTERM')
    const [response, name] = await Promise.all([rest, grpc])
    expect([response.status, name]).toEqual([200, 'slow_1'])
    await expect(fetch(`${server.url}/v2/health/ready`)).rejects.toThrow()
    expect(await server.exited()).toBe(0)
    expect(performance.now() - asked).toBeLessThan(20_000) // it ends with the last answer, not at the deadline
  })

  it('SIGTERM does not wait for them beyond the deadline', async () => {
    server = await startTestModelServer('--drain-timeout-ms', '300')
    server.addModel('slow_1', sleeping(60_000))
    await server.load('slow_1')
    const answer = infer('slow_1')
    await fetch(`${server.url}/v2/health/live`)
    server.child.kill('SIGTERM')
    await expect(answer).rejects.toThrow()
    expect(await server.exited()).toBe(0)
  })
})

describe('a kept connection', () => {
  it('is announced to stay open for 75 s, longer than Envoy keeps it idle', async () => {
    server = await startTestModelServer()
    const response = await fetch(`${server.url}/v2/health/live`)
    expect(response.headers.get('keep-alive')).toBe('timeout=75')
  })
})
