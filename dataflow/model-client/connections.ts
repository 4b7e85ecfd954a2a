/**
 * Kept HTTP/1.1 connections to Envoy's ingress, one call at a time on each, opened when they are needed. Node's HTTP/2 takes five
 * times the CPU of this for a call, and Envoy takes gRPC over either.
 */
import { connect, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Certificates, toContext } from '../../kit/certificates.ts'
import { Gate } from './gate.ts'
import { type Http1Response, ResponseReader } from './http1-response.ts'

/** Below Envoy's hour, so that it is always we who close an idle connection. */
const IDLE_MS = 30_000
const NO_CERTIFICATES: Certificates = { cert: undefined, key: undefined, ca: undefined }

/** Of each connection, used for one read after the other: what is kept is copied. */
const READ_BYTES = 16 * 1024

/** One request, and who waits for its response. */
export interface Exchange {
  /** The whole request, sent one after the other, by reference. */
  readonly parts: readonly Uint8Array[]
  readonly maxAnswerBytes: number
  /** That it is on; of the connections alone. */
  connection: Connection | undefined
  /** Called exactly once, never before `send` returns, unless the exchange was given up. */
  onEnd(end: Http1Response | Error): void
}

export interface Connections {
  readonly send: (exchange: Exchange) => void
  /** Ends one that has been sent and has not ended. */
  readonly giveUp: (exchange: Exchange) => void
  readonly destroy: () => void
}

/** At most `most`: further calls wait. `tls` is asked for each new connection, so that replaced certificates are used. */
export function createConnections(url: string, most: number, tls: () => Certificates | undefined): Connections {
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isTls = protocol === 'https:'
  const address = { host, port: Number(port === '' ? (isTls ? 443 : 80) : port), noDelay: true }
  const all = new Set<Connection>()
  /** The last used is used first, so that what is not needed goes idle. */
  const idle: Connection[] = []
  let destroyed = false

  const open = (onRead: (bytes: Buffer) => void): Socket => {
    if (!isTls) return connect({ ...address, onread: toOnRead(onRead) })
    const socket = connectTls({
      ...address,
      ...toContext(tls() ?? NO_CERTIFICATES),
      ALPNProtocols: ['http/1.1'],
      ...(isIP(host) === 0 ? { servername: host } : {}),
    })
    socket.on('data', onRead)
    return socket
  }
  const take = (): Connection => {
    const kept = idle.pop()
    if (kept !== undefined) return kept
    const made: Connection = new Connection(open, {
      onFree: () => {
        if (made.isUsable) idle.push(made)
        gate.leave()
      },
      onClose: () => {
        all.delete(made)
        const index = idle.indexOf(made)
        if (index >= 0) idle.splice(index, 1)
      },
    })
    all.add(made)
    return made
  }
  /** Those of the models bound what waits. */
  const gate = new Gate<Exchange>({ concurrent: most, queued: Infinity }, (exchange) => {
    take().send(exchange)
  })

  return {
    send: (exchange) => {
      if (destroyed) throw new Error('the client was closed')
      gate.enter(exchange)
    },
    giveUp: (exchange) => {
      if (exchange.connection === undefined) gate.abandon(exchange)
      else exchange.connection.giveUp()
    },
    destroy: () => {
      destroyed = true
      for (const connection of all) connection.destroy()
    },
  }
}

const toOnRead = (onRead: (bytes: Buffer) => void): OnReadOpts => {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  const callback = (length: number): boolean => {
    onRead(buffer.subarray(0, length))
    return true
  }
  return { buffer, callback }
}

interface ConnectionEvents {
  /** What it carried has ended. */
  readonly onFree: () => void
  readonly onClose: () => void
}

class Connection {
  readonly #socket: Socket
  readonly #events: ConnectionEvents
  #reader: ResponseReader | undefined
  #exchange: Exchange | undefined
  #isGivenUp = false
  #error: Error | undefined

  constructor(open: (onRead: (bytes: Buffer) => void) => Socket, events: ConnectionEvents) {
    const socket = open((bytes) => {
      this.#take(bytes)
    })
    this.#socket = socket
    this.#events = events
    socket.setTimeout(IDLE_MS, () => {
      if (this.#exchange === undefined) socket.destroy()
    })
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      events.onClose()
      this.#settle(this.#error ?? new Error('the connection ended'))
    })
  }

  get isUsable(): boolean {
    return !this.#socket.destroyed
  }

  send(exchange: Exchange): void {
    const { parts, maxAnswerBytes } = exchange
    exchange.connection = this
    this.#exchange = exchange
    this.#reader = new ResponseReader(maxAnswerBytes)
    if (parts.length > 1) this.#socket.cork()
    for (const part of parts) this.#socket.write(part)
    if (parts.length > 1) this.#socket.uncork()
  }

  /** What it carries needs no end. */
  giveUp(): void {
    this.#isGivenUp = true
    this.#socket.destroy()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(bytes: Buffer): void {
    try {
      if (this.#reader === undefined) throw new Error('it said something unasked')
      const response = this.#reader.feed(bytes)
      if (response === undefined) return
      if (!response.isKept || this.#socket.writableLength > 0) this.#socket.destroy()
      this.#settle(response)
    } catch (error) {
      this.#socket.destroy()
      this.#settle(error as Error)
    }
  }

  #settle(end: Http1Response | Error): void {
    const exchange = this.#exchange
    if (exchange === undefined) return
    this.#reader = undefined
    this.#exchange = undefined
    exchange.connection = undefined
    this.#events.onFree()
    if (!this.#isGivenUp) exchange.onEnd(end)
  }
}
