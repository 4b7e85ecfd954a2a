/**
 * One HTTP/1.1 response, read as its bytes come: status, headers, a body of known length or in chunks, trailers. No more than
 * a gRPC answer through Envoy needs. Pure.
 */
type Fields = readonly (readonly [name: string, value: string])[]

export interface Http1Response {
  readonly status: number
  /** Names in lower case; a name may come several times. */
  readonly headers: Fields
  readonly trailers: Fields
  readonly body: Buffer
  /** Whether another request may follow on this connection. */
  readonly isKept: boolean
}

export const fieldOf = (fields: Fields, name: string): string | undefined =>
  fields.find(([known]) => known === name)?.[1]

type State =
  | { readonly kind: 'head' }
  | { readonly kind: 'body'; left: number }
  | { readonly kind: 'chunkSize' }
  | { readonly kind: 'chunk'; left: number }
  | { readonly kind: 'chunkEnd' }
  | { readonly kind: 'trailers' }

const LINE_END = '\r\n'
const HEAD_END = '\r\n\r\n'
const MAX_HEAD_BYTES = 64 * 1024
const NONE = Buffer.alloc(0)

export class ResponseReader {
  readonly #maxBodyBytes: number
  #state: State = { kind: 'head' }
  /** What came and has not been read. */
  #bytes: Buffer = NONE
  #at = 0
  #status = 0
  #headers: Fields = []
  #trailers: (readonly [string, string])[] = []
  readonly #body: Buffer[] = []
  #size = 0

  constructor(maxBodyBytes: number) {
    this.#maxBodyBytes = maxBodyBytes
  }

  /** Undefined: more is to come. @throws Error for what is no such response, or too large a one (RangeError) */
  feed(chunk: Buffer): Http1Response | undefined {
    this.#bytes = this.#at === this.#bytes.byteLength ? chunk : Buffer.concat([this.#bytes.subarray(this.#at), chunk])
    this.#at = 0
    for (;;) {
      const step = this.#step()
      if (step === 'done') return this.#response()
      if (step === 'more') return undefined
    }
  }

  #step(): 'on' | 'more' | 'done' {
    switch (this.#state.kind) {
      case 'head':
        return this.#readHead()
      case 'body':
      case 'chunk':
        return this.#readBytes(this.#state)
      case 'chunkSize': {
        const line = this.#takeUntil(LINE_END)
        if (line === undefined) return 'more'
        const size = /^[0-9a-f]{1,8}/i.exec(line)?.[0]
        if (size === undefined) throw new Error('a chunk has no length')
        const left = Number.parseInt(size, 16)
        this.#state = left === 0 ? { kind: 'trailers' } : { kind: 'chunk', left }
        return 'on'
      }
      case 'chunkEnd':
        if (this.#takeUntil(LINE_END) === undefined) return 'more'
        this.#state = { kind: 'chunkSize' }
        return 'on'
      case 'trailers': {
        const line = this.#takeUntil(LINE_END)
        if (line === undefined) return 'more'
        if (line === '') return 'done'
        this.#trailers.push(toField(line))
        return 'on'
      }
    }
  }

  #readHead(): 'on' | 'more' | 'done' {
    const head = this.#takeUntil(HEAD_END)
    if (head === undefined) return 'more'
    const [first = '', ...lines] = head.split(LINE_END)
    const status = /^HTTP\/1\.[01] (?<status>\d{3})/.exec(first)?.groups?.['status']
    if (status === undefined) throw new Error('it is no HTTP/1.1 response')
    if (status.startsWith('1')) return 'on' // the response is still to come
    this.#status = Number(status)
    this.#headers = lines.map(toField)
    const length = fieldOf(this.#headers, 'content-length')
    if (length !== undefined && /^\d{1,15}$/.test(length)) this.#state = { kind: 'body', left: Number(length) }
    else if (fieldOf(this.#headers, 'transfer-encoding') === 'chunked') this.#state = { kind: 'chunkSize' }
    else throw new Error('it does not say how long it is')
    return 'on'
  }

  #readBytes(state: Extract<State, { left: number }>): 'on' | 'more' | 'done' {
    const part = this.#bytes.subarray(this.#at, this.#at + state.left)
    if (part.byteLength > 0) this.#body.push(part)
    this.#at += part.byteLength
    this.#size += part.byteLength
    if (this.#size + (state.left -= part.byteLength) > this.#maxBodyBytes)
      throw new RangeError(`the answer is larger than ${String(this.#maxBodyBytes)} bytes`)
    if (state.left > 0) return 'more'
    if (state.kind === 'body') return 'done'
    this.#state = { kind: 'chunkEnd' }
    return 'on'
  }

  /** What stands before `end`, as text. */
  #takeUntil(end: string): string | undefined {
    const found = this.#bytes.indexOf(end, this.#at, 'latin1')
    if (found < 0) {
      if (this.#bytes.byteLength - this.#at > MAX_HEAD_BYTES) throw new Error('its head is too large')
      return undefined
    }
    const text = this.#bytes.toString('latin1', this.#at, found)
    this.#at = found + end.length
    return text
  }

  #response(): Http1Response {
    const [only = NONE] = this.#body
    return {
      status: this.#status,
      headers: this.#headers,
      trailers: this.#trailers,
      body: this.#body.length > 1 ? Buffer.concat(this.#body) : only,
      isKept: this.#at === this.#bytes.byteLength && fieldOf(this.#headers, 'connection') !== 'close',
    }
  }
}

function toField(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
}
