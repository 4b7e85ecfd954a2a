import { createServer } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ServingError } from '../../kit/errors.ts'
import { listen, serveHttp } from '../../kit/http.ts'
import { type Logger, silentLogger } from '../../kit/log.ts'

let running: Awaited<ReturnType<typeof serveHttp>>
let logged: object[]
const log: Logger = { ...silentLogger, error: (fields) => void logged.push(fields) }

beforeEach(async () => {
  logged = []
  running = await serveHttp({
    host: '127.0.0.1',
    port: 0,
    log,
    routes: {
      '/health': () => ({ status: 200, body: '{}' }),
      '/metrics': async (url) => ({ status: 200, body: url.search, contentType: 'text/plain' }),
      '/broken': () => {
        throw new ServingError('STORE_UNAVAILABLE', 'Redis is gone')
      },
    },
  })
})
afterEach(() => running.stop())
const urlOf = (path: string): string => `http://127.0.0.1:${String(running.port)}${path}`

describe('the small HTTP port', () => {
  it('answers exact paths with the route’s own type', async () => {
    const health = await fetch(urlOf('/health'))
    expect([health.status, health.headers.get('content-type')]).toEqual([200, 'application/json'])
    const metrics = await fetch(urlOf('/metrics?name=x'))
    expect([metrics.headers.get('content-type'), await metrics.text()]).toEqual(['text/plain', '?name=x'])
  })

  it.each(['/', '/healthy', '/health/', '/constructor'])('does not know %s', async (path) => {
    const response = await fetch(urlOf(path))
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ error: expect.stringContaining('/health, /metrics, /broken') })
  })

  it('answers GET only', async () => {
    expect((await fetch(urlOf('/health'), { method: 'POST' })).status).toBe(404)
  })

  it('answers with the status and code of an error, and logs it', async () => {
    const response = await fetch(urlOf('/broken'))
    expect([response.status, await response.json()]).toEqual([
      503,
      { error: 'Redis is gone', code: 'STORE_UNAVAILABLE' },
    ])
    expect(logged).toEqual([{ code: 'STORE_UNAVAILABLE', error: 'Redis is gone' }])
  })

  it('takes a request target that is no URL for a path it does not have', async () => {
    const socket = connect(running.port, '127.0.0.1')
    socket.end('GET //:x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 404 /)
    expect(logged).toEqual([])
  })

  it('stops with connections open, and twice', async () => {
    await fetch(urlOf('/health')) // leaves a kept connection
    await running.stop()
    await running.stop()
    await expect(fetch(urlOf('/health'))).rejects.toThrow()
  })
})

describe('listen', () => {
  it('names a port that is in use', async () => {
    await expect(listen(createServer(), '127.0.0.1', running.port)).rejects.toMatchObject({
      code: 'PORT_IN_USE',
      message: `port ${String(running.port)} on 127.0.0.1 is in use`,
    })
  })

  it('tells an address that is none from a port in use', async () => {
    await expect(listen(createServer(), '192.0.2.1', 0)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})
