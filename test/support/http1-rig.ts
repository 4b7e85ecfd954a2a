/** An HTTP/1.1 server of ours on a port of its own, whose handlers a test decides, and bytes straight into it. */
import { connect, type Socket } from 'node:net'
import type { BodyLimits } from '../../kit/body-limits.ts'
import type { WatchedCertificates } from '../../kit/certificates.ts'
import { ServingError } from '../../kit/errors.ts'
import { listen } from '../../kit/http.ts'
import type { Exchange, Http1Answer } from '../../kit/http1/exchange.ts'
import { createHttp1Server } from '../../kit/http1/server.ts'
import { createWaiters } from './waiters.ts'

export const textAnswer = (status: number, text: string): Http1Answer => {
  const bytes = Buffer.from(text, 'latin1')
  return { status, lines: 'content-type: text/plain\r\n', chunks: [bytes], byteLength: bytes.byteLength }
}

/** Answers with what was asked. */
export const echo = (exchange: Exchange): void => {
  exchange.readBody((body) => {
    if (body instanceof ServingError) exchange.answer(textAnswer(body.httpStatus, body.code))
    else exchange.answer(textAnswer(200, `${exchange.head.method} ${exchange.head.target} ${body.toString('latin1')}`))
  })
}

export async function startHttp1Rig(options: { limits?: BodyLimits; tls?: WatchedCertificates } = {}) {
  const waiters = createWaiters()
  const rig = { handle: echo, isAccepting: true }
  const exchanges: Exchange[] = []
  const http1 = createHttp1Server({
    limits: options.limits ?? { maxRequestBytes: 100_000, maxBufferedBytes: 200_000 },
    tls: options.tls,
    isAccepting: () => rig.isAccepting,
    handle: (exchange) => {
      exchanges.push(exchange)
      rig.handle(exchange)
      waiters.look()
    },
  })
  const port = await listen(http1.server, '127.0.0.1', 0)
  return Object.assign(rig, { port, exchanges, until: waiters.until, look: waiters.look, stop: http1.stop })
}

export interface RawClient {
  readonly socket: Socket
  readonly received: () => string
  readonly send: (text: string) => void
  /** What came, when it is enough. */
  readonly until: (isEnough: (received: string) => boolean) => Promise<string>
  /** Everything that came until the other side closed. */
  readonly closed: Promise<string>
}

export function rawClient(port: number, socket: Socket = connect(port, '127.0.0.1')): RawClient {
  const waiters = createWaiters()
  let received = ''
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString('latin1')
    waiters.look()
  })
  socket.on('error', () => undefined)
  const closed = new Promise<string>((resolve) => {
    socket.once('close', () => {
      resolve(received)
    })
  })
  return {
    socket,
    closed,
    received: () => received,
    send: (text) => {
      socket.write(text, 'latin1')
    },
    until: async (isEnough) => {
      await waiters.until('the answer', () => isEnough(received))
      return received
    },
  }
}

/** The bodies of plain answers that came one after the other. */
export const statusesOf = (received: string): readonly number[] =>
  [...received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))
