/** One request on a connection, and its answer: what handlers see. */
import { type BodyLimits, goneWhileSending, rejectEncoding, rejectOverload, rejectTooLarge } from '../body-limits.ts'
import { type ServingError, toServingError } from '../errors.ts'
import { fieldOf } from './fields.ts'
import type { RequestHead } from './request-head.ts'

export interface Http1Answer {
  readonly status: number
  /** Lines of the head, each with its CRLF, of printable characters; those about length, date and connection are not theirs. */
  readonly lines: string
  readonly chunks: readonly Uint8Array[]
  readonly byteLength: number
}

/** What the bodies of all requests of one server take, until their answers were sent. */
export class BodyRoom {
  readonly limits: BodyLimits
  held = 0

  constructor(limits: BodyLimits) {
    this.limits = limits
  }
}

export type OnBody = (body: Buffer | ServingError) => void

/** What an exchange needs of its connection. */
export interface Wire {
  readonly send: (exchange: Exchange, answer: Http1Answer) => void
  readonly sendContinue: () => void
}

const NONE = Buffer.alloc(0)
/** So many small parts of a body become one: each takes more memory than its bytes. */
const MAX_SMALL_PARTS = 256
const SMALL_BYTES = 4 * 1024

export class Exchange {
  readonly head: RequestHead
  readonly #wire: Wire
  readonly #room: BodyRoom
  /** The client closed the connection before it was answered. */
  isGone = false
  /** One listener, which is called when the client goes away. */
  onGone: (() => void) | undefined = undefined
  /** Its body has come to its end. */
  isComplete = false
  isAnswered = false
  /** Nothing can be sent, or everything was. */
  isOver = false
  #onBody: OnBody | undefined = undefined
  #isDropped = false
  #only: Buffer | undefined = undefined
  /** Of a body in several parts, all of them. */
  #parts: Buffer[] | undefined = undefined
  #small = 0
  #size = 0
  /** Of the room. */
  #held = 0

  constructor(wire: Wire, room: BodyRoom, head: RequestHead) {
    this.#wire = wire
    this.#room = room
    this.head = head
  }

  /**
   * Gives the whole body, maybe at once: REQUEST_INVALID, REQUEST_TOO_LARGE or SERVER_OVERLOADED as soon as it is known, CANCELLED
   * when the client goes away. To be asked for while the handler is called: nobody keeps it for later.
   */
  readBody(onBody: OnBody): void {
    this.#onBody = onBody
    try {
      if (this.isGone || this.#isDropped) throw goneWhileSending()
      rejectEncoding(fieldOf(this.head.fields, 'content-encoding'))
      rejectTooLarge(this.head.length ?? this.#size, this.#room.limits)
      this.#hold(this.#size)
    } catch (error) {
      this.#refuseBody(error)
      return
    }
    if (this.isComplete) this.#giveBody()
    else if (this.head.expectsContinue) this.#wire.sendContinue()
  }

  /** The first one counts. */
  answer(answer: Http1Answer): void {
    if (this.isAnswered || this.isGone) return
    this.isAnswered = true
    this.#wire.send(this, answer)
  }

  /** The next part of the body, from the connection. */
  take(part: Buffer): void {
    if (this.#isDropped) return
    this.#size += part.byteLength
    if (this.#onBody !== undefined) {
      try {
        rejectTooLarge(this.#size, this.#room.limits)
        this.#hold(part.byteLength)
      } catch (error) {
        this.#refuseBody(error)
        return
      }
    }
    if (this.#only === undefined) this.#only = part
    else this.#keep(part, (this.#parts ??= [this.#only]))
  }

  complete(): void {
    this.isComplete = true
    if (this.#onBody !== undefined && !this.#isDropped) this.#giveBody()
  }

  /** Whoever has not asked for the body does not want it. */
  dropUnasked(): void {
    if (this.#onBody === undefined) this.#drop()
  }

  /** The answer was sent. */
  sent(): void {
    this.isOver = true
    this.#release()
  }

  /** The connection is closed. */
  leave(): void {
    if (this.isOver) return
    this.isOver = true
    this.isGone = true
    this.#release()
    if (!this.isComplete && !this.#isDropped) this.#refuseBody(goneWhileSending())
    const listener = this.onGone
    this.onGone = undefined
    listener?.()
  }

  #hold(bytes: number): void {
    rejectOverload(this.#room.held + bytes, this.#room.limits)
    this.#room.held += bytes
    this.#held += bytes
  }

  #release(): void {
    this.#room.held -= this.#held
    this.#held = 0
  }

  #keep(part: Buffer, parts: Buffer[]): void {
    parts.push(part)
    this.#small = part.byteLength < SMALL_BYTES ? this.#small + 1 : 0
    if (this.#small < MAX_SMALL_PARTS) return
    parts.push(Buffer.concat(parts.splice(-MAX_SMALL_PARTS)))
    this.#small = 0
  }

  #giveBody(): void {
    const body = this.#parts === undefined ? (this.#only ?? NONE) : Buffer.concat(this.#parts)
    const onBody = this.#onBody
    this.#drop()
    onBody?.(body)
  }

  #refuseBody(error: unknown): void {
    const onBody = this.#onBody
    this.#drop()
    onBody?.(toServingError(error))
  }

  #drop(): void {
    this.#isDropped = true
    this.#onBody = undefined
    this.#only = undefined
    this.#parts = undefined
  }
}
