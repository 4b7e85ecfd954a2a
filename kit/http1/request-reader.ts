/**
 * HTTP/1.1 requests, read one after the other as their bytes come: a head, then the parts of its body, by length or in chunks. Pure.
 * However the bytes are cut into pieces, the same is read.
 */
import { readFields } from './fields.ts'
import { parseHead, type Refusal, refusal, type RequestHead } from './request-head.ts'

/** Of a head, and of the trailers after a body in chunks. */
export const MAX_HEAD_BYTES = 64 * 1024
const MAX_CHUNK_LINE_BYTES = 4 * 1024
const MAX_SIZE_DIGITS = 8

const CRLF = Buffer.from('\r\n')
const HEAD_END = Buffer.from('\r\n\r\n')
const NONE = Buffer.alloc(0)
const TAB = 9
const LF = 10
const CR = 13
const SPACE = 32
const DEL = 127

type State = 'head' | 'length' | 'size' | 'chunk' | 'chunkEnd' | 'trailers' | 'end'

export class RequestReader {
  #state: State = 'head'
  /** What came, and how far it was read. */
  #bytes: Buffer = NONE
  #at = 0
  /** Up to here a head that has not come whole was looked at. */
  #looked = 0
  /** Of the body, or of a chunk. */
  #left = 0
  #trailerBytes = 0

  /** Bytes that came and were not read. */
  get unread(): number {
    return this.#bytes.byteLength - this.#at
  }

  feed(chunk: Buffer): void {
    if (this.#at === this.#bytes.byteLength) {
      this.#bytes = chunk
      this.#looked = 0
    } else {
      this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), chunk])
      this.#looked = Math.max(this.#looked - this.#at, 0)
    }
    this.#at = 0
  }

  /** Of the next request, when the body before it was read to its end. Undefined: more is to come. */
  readHead(): RequestHead | Refusal | undefined {
    const bytes = this.#bytes
    // Empty lines before a request are to be passed over, says the standard.
    while (bytes[this.#at] === CR && bytes[this.#at + 1] === LF) this.#at += CRLF.byteLength
    if (this.#at === bytes.byteLength) return undefined
    const end = bytes.indexOf(HEAD_END, this.#at)
    if ((end < 0 ? bytes.byteLength : end) - this.#at > MAX_HEAD_BYTES)
      return refusal(431, `the headers are larger than ${String(MAX_HEAD_BYTES)} bytes`)
    if (end < 0) return this.#look()
    const head = parseHead(bytes.toString('latin1', this.#at, end))
    this.#at = end + HEAD_END.byteLength
    this.#looked = 0
    if (head.kind === 'head') {
      this.#left = head.length ?? 0
      this.#state = head.length === undefined ? 'size' : this.#left === 0 ? 'end' : 'length'
    }
    return head
  }

  /** The next part of the body. Undefined: more is to come. */
  readPart(): Buffer | 'end' | Refusal | undefined {
    for (;;) {
      switch (this.#state) {
        case 'length':
        case 'chunk': {
          if (this.#left > 0) return this.#takePart()
          this.#state = this.#state === 'length' ? 'end' : 'chunkEnd'
          break
        }
        case 'size': {
          const line = this.#takeLine(MAX_CHUNK_LINE_BYTES)
          if (typeof line !== 'string') return line
          const size = toSize(line)
          if (size === undefined) return refusal(400, 'a chunk has no length')
          this.#left = size
          this.#trailerBytes = 0
          this.#state = size === 0 ? 'trailers' : 'chunk'
          break
        }
        case 'chunkEnd': {
          const line = this.#takeLine(0)
          if (typeof line !== 'string') return line
          this.#state = 'size'
          break
        }
        case 'trailers': {
          const line = this.#takeLine(MAX_HEAD_BYTES - this.#trailerBytes)
          if (typeof line !== 'string') return line
          if (line === '') this.#state = 'end'
          else if (readFields(line, 0) === undefined) return refusal(400, 'a trailer is not one')
          this.#trailerBytes += line.length
          break
        }
        case 'end':
          this.#state = 'head'
          return 'end'
        case 'head':
          return undefined
      }
    }
  }

  #takePart(): Buffer | undefined {
    const from = this.#at
    const to = Math.min(from + this.#left, this.#bytes.byteLength)
    if (from === to) return undefined
    this.#at = to
    this.#left -= to - from
    return this.#bytes.subarray(from, to)
  }

  /** Without its end. Undefined: more is to come. */
  #takeLine(maxBytes: number): string | Refusal | undefined {
    const end = this.#bytes.indexOf(CRLF, this.#at)
    const known = end < 0 ? this.unread - 1 : end - this.#at // the last byte may belong to the line's end
    if (known > maxBytes) return refusal(400, 'a line of a body in chunks is too long')
    if (end < 0) return undefined
    const line = this.#bytes.toString('latin1', this.#at, end)
    this.#at = end + CRLF.byteLength
    return line
  }

  /** At what came of a head: what can become none is refused, and not waited for. */
  #look(): Refusal | undefined {
    const bytes = this.#bytes
    let at = Math.max(this.#looked, this.#at)
    for (; at < bytes.byteLength; at += 1) {
      const code = bytes[at] ?? 0
      if (code >= SPACE && code !== DEL) continue
      const isEnd = code === CR || (code === LF && at > this.#at && bytes[at - 1] === CR)
      if (!isEnd && code !== TAB) return refusal(400, 'this is not HTTP')
    }
    this.#looked = at
    return undefined
  }
}

/** Of a chunk's first line; what stands after a semicolon means nothing to us. */
function toSize(line: string): number | undefined {
  const semicolon = line.indexOf(';')
  const digits = semicolon < 0 ? line : line.slice(0, semicolon)
  if (!/^[0-9a-f]+$/i.test(digits) || digits.length > MAX_SIZE_DIGITS) return undefined
  if (semicolon >= 0 && readFields(`x:${line.slice(semicolon)}`, 0) === undefined) return undefined
  return Number.parseInt(digits, 16)
}
