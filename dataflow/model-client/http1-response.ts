/**
 * One HTTP/1.1 response after the other, read as its bytes come: status, headers, a body of known length or in chunks, trailers.
 * No more than a gRPC answer through Envoy needs, and only the fields that matter to one. Pure.
 */
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import { ROUTE_HEADER } from '../journal/topics.ts'

/** Of a head or of trailers. Where a name comes several times the first counts, but for routes. */
export interface Fields {
  grpcStatus: string | undefined
  grpcMessage: string | undefined
  errorCode: string | undefined
  routes: readonly string[]
  contentLength: string | undefined
  transferEncoding: string | undefined
  connection: string | undefined
}

export interface Http1Response {
  readonly status: number
  readonly headers: Fields
  readonly trailers: Fields
  readonly body: Buffer
  /** Whether another request may follow on this connection. */
  readonly isKept: boolean
}

const HEAD_END = '\r\n\r\n'
const CR = 13
const LF = 10
const MAX_HEAD_BYTES = 64 * 1024
const NOTHING = Buffer.alloc(0)
const NO_ROUTES: readonly string[] = []
const NO_FIELDS: Fields = readFields('', 0)
const NOT_ALL = -1

export class ResponseReader {
  readonly #maxBodyBytes: number
  #phase: 'head' | 'body' | 'chunkSize' | 'chunk' | 'chunkEnd' | 'trailers' = 'head'
  /** What came and has not been read. */
  #bytes: Buffer = NOTHING
  #at = 0
  #status = 0
  #headers = NO_FIELDS
  #trailers = NO_FIELDS
  /** Parts that are whole: usually there is one. */
  #first: Buffer | undefined
  #others: Buffer[] | undefined
  #size = 0
  /** The one that comes. */
  #part = NOTHING
  #filled = 0

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes
  }

  /**
   * Undefined: more is to come. Nothing of `chunk` is kept, so it may be written over.
   * @throws Error for what is no such response, or too large a one (RangeError)
   */
  feed(chunk: Buffer): Http1Response | undefined {
    this.#bytes = this.#bytes === NOTHING ? chunk : Buffer.concat([this.#bytes, chunk])
    this.#at = 0
    for (;;) {
      const step = this.#step()
      if (step === 'done') return this.#response()
      if (step === 'more') break
    }
    this.#bytes = this.#at === this.#bytes.byteLength ? NOTHING : Buffer.from(this.#bytes.subarray(this.#at))
    return undefined
  }

  #step(): 'on' | 'more' | 'done' {
    switch (this.#phase) {
      case 'head':
        return this.#readHead()
      case 'body':
      case 'chunk':
        return this.#readPart()
      case 'chunkSize':
        return this.#readChunkSize()
      case 'chunkEnd': {
        const end = this.#lineEnd()
        if (end === NOT_ALL) return 'more'
        this.#at = end + 1
        this.#phase = 'chunkSize'
        return 'on'
      }
      case 'trailers':
        return this.#readTrailers()
    }
  }

  #readHead(): 'on' | 'more' {
    const text = this.#takeFields()
    if (text === undefined) return 'more'
    const status = statusOf(text)
    if (status < 200) return 'on' // the response is still to come
    this.#status = status
    this.#headers = readFields(text, text.indexOf('\n') + 1)
    const { contentLength, transferEncoding } = this.#headers
    if (contentLength !== undefined && /^\d{1,15}$/.test(contentLength)) this.#expect('body', Number(contentLength))
    else if (transferEncoding === 'chunked') this.#phase = 'chunkSize'
    else throw new Error('it does not say how long it is')
    return 'on'
  }

  #readChunkSize(): 'on' | 'more' {
    const end = this.#lineEnd()
    if (end === NOT_ALL) return 'more'
    let size = 0
    let digits = 0
    for (; digits < 8; digits += 1) {
      const digit = hexDigit(this.#bytes[this.#at + digits])
      if (digit < 0) break
      size = size * 16 + digit
    }
    if (digits === 0) throw new Error('a chunk has no length')
    this.#at = end + 1
    if (size === 0) this.#phase = 'trailers'
    else this.#expect('chunk', size)
    return 'on'
  }

  #expect(phase: 'body' | 'chunk', bytes: number): void {
    if (this.#size + bytes > this.#maxBodyBytes)
      throw new RangeError(`the answer is larger than ${String(this.#maxBodyBytes)} bytes`)
    this.#phase = phase
    this.#size += bytes
    this.#part = Buffer.allocUnsafe(bytes)
    this.#filled = 0
  }

  #readPart(): 'on' | 'more' | 'done' {
    const copied = this.#bytes.copy(this.#part, this.#filled, this.#at)
    this.#at += copied
    this.#filled += copied
    if (this.#filled < this.#part.byteLength) return 'more'
    if (this.#first === undefined) this.#first = this.#part
    else (this.#others ??= []).push(this.#part)
    if (this.#phase === 'body') return 'done'
    this.#phase = 'chunkEnd'
    return 'on'
  }

  #readTrailers(): 'more' | 'done' {
    if (this.#bytes[this.#at] === CR && this.#bytes[this.#at + 1] === LF) {
      this.#at += 2
      return 'done'
    }
    const text = this.#takeFields()
    if (text === undefined) return 'more'
    this.#trailers = readFields(text, 0)
    return 'done'
  }

  /** What stands before an empty line. */
  #takeFields(): string | undefined {
    const end = this.#bytes.indexOf(HEAD_END, this.#at, 'latin1')
    if (end < 0) {
      if (this.#bytes.byteLength - this.#at > MAX_HEAD_BYTES) throw new Error('its head is too large')
      return undefined
    }
    const text = this.#bytes.toString('latin1', this.#at, end)
    this.#at = end + HEAD_END.length
    return text
  }

  /** Of a short line. */
  #lineEnd(): number {
    for (let at = this.#at; at < this.#bytes.byteLength; at += 1) if (this.#bytes[at] === LF) return at
    if (this.#bytes.byteLength - this.#at > MAX_HEAD_BYTES) throw new Error('its head is too large')
    return NOT_ALL
  }

  #response(): Http1Response {
    const first = this.#first ?? NOTHING
    return {
      status: this.#status,
      headers: this.#headers,
      trailers: this.#trailers,
      body: this.#others === undefined ? first : Buffer.concat([first, ...this.#others]),
      isKept: this.#at === this.#bytes.byteLength && this.#headers.connection !== 'close',
    }
  }
}

/** @throws Error for what is no response */
function statusOf(head: string): number {
  const isResponse = head.startsWith('HTTP/1.1 ') || head.startsWith('HTTP/1.0 ')
  let status = 0
  for (let at = 9; at < 12; at += 1) {
    const digit = head.charCodeAt(at) - 0x30
    status = digit >= 0 && digit <= 9 ? status * 10 + digit : Number.NaN
  }
  if (isResponse && status >= 100) return status
  throw new Error('it is no HTTP/1.1 response')
}

function hexDigit(byte: number | undefined): number {
  if (byte === undefined) return -1
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const letter = byte | 0x20
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1
}

/** Lines of which most are passed over: only names that matter are looked at, and only their values cut out. */
function readFields(text: string, from: number): Fields {
  const fields: Fields = {
    grpcStatus: undefined,
    grpcMessage: undefined,
    errorCode: undefined,
    routes: NO_ROUTES,
    contentLength: undefined,
    transferEncoding: undefined,
    connection: undefined,
  }
  for (let at = from; at < text.length;) {
    const found = text.indexOf('\r\n', at)
    const end = found < 0 ? text.length : found
    const colon = text.indexOf(':', at)
    if (colon >= 0 && colon < end) takeField(fields, text, at, colon, end)
    at = end + 2
  }
  return fields
}

function takeField(fields: Fields, text: string, at: number, colon: number, end: number): void {
  if (isName(text, at, colon, 'grpc-status')) fields.grpcStatus ??= valueOf(text, colon, end)
  else if (isName(text, at, colon, 'grpc-message')) fields.grpcMessage ??= valueOf(text, colon, end)
  else if (isName(text, at, colon, ROUTE_HEADER)) fields.routes = [...fields.routes, valueOf(text, colon, end)]
  else if (isName(text, at, colon, 'transfer-encoding')) fields.transferEncoding ??= valueOf(text, colon, end)
  else if (isName(text, at, colon, 'content-length')) fields.contentLength ??= valueOf(text, colon, end)
  else if (isName(text, at, colon, 'connection')) fields.connection ??= valueOf(text, colon, end)
  else if (isName(text, at, colon, ERROR_CODE_KEY)) fields.errorCode ??= valueOf(text, colon, end)
}

const valueOf = (text: string, colon: number, end: number): string => text.slice(colon + 1, end).trim()

/** @param name in lower case */
function isName(text: string, at: number, colon: number, name: string): boolean {
  if (name.length !== colon - at) return false
  for (let index = 0; index < name.length; index += 1)
    if ((text.charCodeAt(at + index) | 0x20) !== name.charCodeAt(index)) return false
  return true
}
