/**
 * Kept HTTP/1.1 connections to Envoy's ingress, one call at a time on each, opened when they are needed. Node's HTTP/2 takes five
 * times the CPU of this for a call, and Envoy takes gRPC over either.
 */
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { type Certificates, toContext } from '../../kit/certificates.ts'
import { createGate } from './gate.ts'
import { type Http1Response, ResponseReader } from './http1-response.ts'

/** Below Envoy's hour, so that it is always we who close an idle connection. */
const IDLE_MS = 30_000
const NO_CERTIFICATES: Certificates = { cert: undefined, key: undefined, ca: undefined }

export interface Exchange {
  /** The whole request, sent one after the other, by reference. */
  readonly parts: readonly Uint8Array[]
  readonly maxAnswerBytes: number
}

export interface Connections {
  /** `onEnd` is called exactly once, never before this returns, unless the returned function, which ends the call, was called. */
  readonly send: (exchange: Exchange, onEnd: (end: Http1Response | Error) => void) => () => void
  readonly destroy: () => void
}

/** At most `most`: further calls wait. `tls` is asked for each new connection, so that replaced certificates are used. */
export function createConnections(url: string, most: number, tls: () => Certificates | undefined): Connections {
  const { protocol, hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  const isTls = protocol === 'https:'
  const address = { host, port: Number(port === '' ? (isTls ? 443 : 80) : port), noDelay: true }
  const gate = createGate({ concurrent: most, queued: Infinity }) // those of the models bound what waits
  const all = new Set<Connection>()
  /** The last used is used first, so that what is not needed goes idle. */
  const idle: Connection[] = []
  let destroyed = false

  const open = (): Socket =>
    isTls
      ? connectTls({
          ...address,
          ...toContext(tls() ?? NO_CERTIFICATES),
          ALPNProtocols: ['http/1.1'],
          ...(isIP(host) === 0 ? { servername: host } : {}),
        })
      : connect(address)
  const take = (): Connection => {
    const kept = idle.pop()
    if (kept !== undefined) return kept
    const made = new Connection(open(), () => {
      all.delete(made)
      const index = idle.indexOf(made)
      if (index >= 0) idle.splice(index, 1)
    })
    all.add(made)
    return made
  }

  return {
    send: (exchange, onEnd) => {
      if (destroyed) throw new Error('the client was closed')
      let using: Connection | undefined
      let isOver = false
      const leaveWaiting = gate.enter(() => {
        const connection = take()
        using = connection
        connection.send(exchange, (end) => {
          using = undefined
          if (connection.isUsable) idle.push(connection)
          gate.leave()
          if (!isOver) onEnd(end)
        })
      })
      return () => {
        isOver = true
        if (leaveWaiting === 'refused' || leaveWaiting()) return
        using?.destroy()
      }
    },
    destroy: () => {
      destroyed = true
      for (const connection of all) connection.destroy()
    },
  }
}

class Connection {
  readonly #socket: Socket
  #reader: ResponseReader | undefined
  #onEnd: ((end: Http1Response | Error) => void) | undefined
  #error: Error | undefined

  constructor(socket: Socket, onClose: () => void) {
    this.#socket = socket
    socket.setTimeout(IDLE_MS, () => {
      if (this.#onEnd === undefined) socket.destroy()
    })
    socket.on('data', (chunk: Buffer) => {
      this.#take(chunk)
    })
    socket.on('error', (error) => {
      this.#error = error
    })
    socket.on('close', () => {
      onClose()
      this.#settle(this.#error ?? new Error('the connection ended'))
    })
  }

  get isUsable(): boolean {
    return !this.#socket.destroyed
  }

  send({ parts, maxAnswerBytes }: Exchange, onEnd: (end: Http1Response | Error) => void): void {
    this.#reader = new ResponseReader(maxAnswerBytes)
    this.#onEnd = onEnd
    this.#socket.cork()
    for (const part of parts) this.#socket.write(part)
    this.#socket.uncork()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #take(chunk: Buffer): void {
    try {
      if (this.#reader === undefined) throw new Error('it said something unasked')
      const response = this.#reader.feed(chunk)
      if (response === undefined) return
      this.#reader = undefined
      if (!response.isKept || this.#socket.writableLength > 0) this.#socket.destroy()
      this.#settle(response)
    } catch (error) {
      this.#socket.destroy()
      this.#settle(error as Error)
    }
  }

  #settle(end: Http1Response | Error): void {
    const onEnd = this.#onEnd
    this.#onEnd = undefined
    onEnd?.(end)
  }
}
