/**
 * One connection of an HTTP/1.1 server: requests are read from it and answered one after the other. While one is answered, no more
 * than a head's worth of bytes is taken of the next.
 */
import type { Socket } from 'node:net'
import { dateLine, statusLine } from './answer-head.ts'
import { type BodyRoom, Exchange, type Http1Answer, type Wire } from './exchange.ts'
import { type Refusal, refusal } from './request-head.ts'
import { MAX_HEAD_BYTES, RequestReader } from './request-reader.ts'

/** What the connections of one server share. */
export interface Shared {
  readonly room: BodyRoom
  /** Must not throw; see `Exchange.readBody` for when the body is to be asked for. */
  readonly handle: (exchange: Exchange) => void
  /** False: no further request is wanted on any connection. */
  readonly isAccepting: () => boolean
  /** Seconds: counted, so that no request asks a clock. */
  now: number
}

/** How long a client that was refused may go on sending before its connection is closed. */
const LINGER_MS = 1_000
/** Up to this an answer becomes one piece. */
const MAX_JOINED_BYTES = 16 * 1024
/** Idle; until a head, a whole request has come; until an answer was taken. The first is far above Envoy's idle timeout of 4 s, so that it is always Envoy that closes. */
const SECONDS = { idle: 75, head: 60, request: 300, answer: 300 } as const

export class Connection implements Wire {
  readonly #shared: Shared
  readonly #socket: Socket
  readonly #reader = new RequestReader()
  #exchange: Exchange | undefined = undefined
  /** When what it waits for began, in `Shared.now`. */
  #since: number
  #isAdvancing = false
  #isPaused = false
  /** No further request is read. */
  #isLast = false
  /** What comes is thrown away. */
  #isDeaf = false
  #linger: NodeJS.Timeout | undefined = undefined

  constructor(shared: Shared, socket: Socket, onClose: (connection: Connection) => void) {
    this.#shared = shared
    this.#socket = socket
    this.#since = shared.now
    socket.on('data', (chunk: Buffer) => {
      this.#take(chunk)
    })
    socket.on('error', () => undefined) // `close` follows
    socket.on('close', () => {
      clearTimeout(this.#linger)
      this.#isDeaf = true
      onClose(this)
      this.#exchange?.leave()
    })
  }

  destroy(): void {
    this.#socket.destroy()
  }

  /** Ends it when it has waited too long for its client; called every second. */
  checkDeadline(): void {
    if (this.#isDeaf) return
    const waited = this.#shared.now - this.#since
    const exchange = this.#exchange
    if (exchange === undefined) {
      if (this.#reader.unread === 0) {
        if (waited > SECONDS.idle) this.#socket.destroy()
      } else if (waited > SECONDS.head) this.#refuse(refusal(408, 'the request did not come in time'))
    } else if (exchange.isAnswered) {
      if (waited > SECONDS.answer) this.#socket.destroy()
    } else if (!exchange.isComplete && waited > SECONDS.request)
      this.#refuse(refusal(408, 'the request did not come in time'))
  }

  send(exchange: Exchange, { status, lines, chunks, byteLength }: Http1Answer): void {
    const { head } = exchange
    const isRefused = status >= 400 && !exchange.isComplete // the body is still coming in
    if (isRefused || !head.isKept || !this.#shared.isAccepting()) this.#isLast = true
    const option = this.#isLast ? 'connection: close\r\n' : head.isHttp10 ? 'connection: keep-alive\r\n' : ''
    const length = `content-length: ${String(byteLength)}\r\n`
    this.#since = this.#shared.now
    this.#write(
      `${statusLine(status)}${lines}${length}${dateLine(Date.now())}${option}\r\n`,
      head.method === 'HEAD' ? [] : chunks,
      head.method === 'HEAD' ? 0 : byteLength,
    )
    // Closing while the client sends could reset the connection before it has read the answer.
    if (isRefused)
      this.#linger = setTimeout(() => {
        this.#socket.destroySoon()
      }, LINGER_MS)
  }

  sendContinue(): void {
    this.#socket.write('HTTP/1.1 100 Continue\r\n\r\n', 'latin1')
  }

  readonly #onSent = (error?: Error | null): void => {
    if (error) return // `close` follows
    this.#exchange?.sent()
    this.#advance()
  }

  /** Head and body in one packet. */
  #write(head: string, chunks: readonly Uint8Array[], byteLength: number): void {
    const socket = this.#socket
    if (byteLength <= MAX_JOINED_BYTES) {
      const bytes = Buffer.allocUnsafe(head.length + byteLength)
      let at = bytes.write(head, 'latin1')
      for (const chunk of chunks) {
        bytes.set(chunk, at)
        at += chunk.byteLength
      }
      socket.write(bytes, this.#onSent)
      return
    }
    socket.cork()
    socket.write(head, 'latin1')
    for (let index = 0; index < chunks.length - 1; index += 1) socket.write(chunks[index] ?? '')
    socket.write(chunks.at(-1) ?? '', this.#onSent)
    socket.uncork()
  }

  #take(chunk: Buffer): void {
    if (this.#isDeaf) return
    if (this.#exchange === undefined && this.#reader.unread === 0) this.#since = this.#shared.now
    this.#reader.feed(chunk)
    this.#advance()
    if (this.#exchange !== undefined && this.#reader.unread > MAX_HEAD_BYTES) {
      this.#isPaused = true
      this.#socket.pause()
    }
  }

  /** Does all that can be done now. An answer that is given meanwhile comes back here, and finds it at work. */
  #advance(): void {
    if (this.#isAdvancing) return
    this.#isAdvancing = true
    let goesOn = true
    while (goesOn) goesOn = !this.#isDeaf && this.#step()
    this.#isAdvancing = false
  }

  /** False: something must happen first. */
  #step(): boolean {
    const exchange = this.#exchange
    if (exchange === undefined) return this.#begin()
    if (!exchange.isComplete && !this.#takeBody(exchange)) return false
    if (!exchange.isComplete || !exchange.isOver) return false
    this.#exchange = undefined
    this.#since = this.#shared.now
    if (this.#isLast) {
      this.#isDeaf = true
      this.#socket.destroySoon()
      return false
    }
    if (this.#isPaused) {
      this.#isPaused = false
      this.#socket.resume()
    }
    return this.#reader.unread > 0
  }

  #begin(): boolean {
    const head = this.#reader.readHead()
    if (head === undefined) return false
    if (head.kind === 'refused') {
      this.#refuse(head)
      return false
    }
    const exchange = new Exchange(this, this.#shared.room, head)
    this.#exchange = exchange
    if (!this.#takeBody(exchange)) return false // what came with it, so that whoever refuses it knows whether more follows
    this.#shared.handle(exchange)
    exchange.dropUnasked()
    return exchange.isOver
  }

  /** False: it is none. */
  #takeBody(exchange: Exchange): boolean {
    for (;;) {
      const part = this.#reader.readPart()
      if (part === undefined) return true
      if (part === 'end') {
        exchange.complete()
        return true
      }
      if ('kind' in part) {
        this.#refuse(part)
        return false
      }
      exchange.take(part)
    }
  }

  /** Says so and closes, and takes what still comes for a moment: else the connection could be reset before that was read. */
  #refuse({ status, reason }: Refusal): void {
    const isAnswered = this.#exchange?.isAnswered === true
    this.#isDeaf = true
    this.#exchange?.leave()
    this.#exchange = undefined
    this.#linger ??= setTimeout(() => {
      this.#socket.destroy()
    }, LINGER_MS)
    if (isAnswered) {
      this.#socket.end()
      return
    }
    const body = `${reason}\n`
    const length = `content-length: ${String(body.length)}\r\n`
    const lines = `content-type: text/plain\r\n${length}${dateLine(Date.now())}connection: close\r\n\r\n`
    this.#socket.end(`${statusLine(status)}${lines}${body}`, 'latin1')
  }
}
