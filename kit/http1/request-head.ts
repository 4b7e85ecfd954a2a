/** The head of an HTTP/1.1 request: what is asked, and how long its body is. Pure. */
import { type Fields, isPrintable, isToken, readFields } from './fields.ts'

export interface RequestHead {
  readonly kind: 'head'
  readonly method: string
  readonly target: string
  readonly fields: Fields
  /** Bytes of the body; undefined: it comes in chunks. */
  readonly length: number | undefined
  /** Whether the client wants to ask again on this connection, and whether it must be told that it may. */
  readonly isKept: boolean
  readonly isHttp10: boolean
  /** It waits for `100 Continue` before it sends the body. */
  readonly expectsContinue: boolean
}

/** Of what is no request, or none that we take: the connection is of no use afterwards, as nobody knows where the next one begins. */
export interface Refusal {
  readonly kind: 'refused'
  readonly status: 400 | 408 | 417 | 431 | 501
  readonly reason: string
}

export const refusal = (status: Refusal['status'], reason: string): Refusal => ({ kind: 'refused', status, reason })

const MAX_LENGTH_DIGITS = 15
const ZERO = 48
const NINE = 57

/** @param text everything before the empty line, in latin1 */
export function parseHead(text: string): RequestHead | Refusal {
  const methodEnd = text.indexOf(' ')
  const targetEnd = text.indexOf(' ', methodEnd + 1)
  const found = text.indexOf('\r\n')
  const lineEnd = found < 0 ? text.length : found
  if (methodEnd < 0 || targetEnd < 0 || targetEnd > lineEnd) return refusal(400, 'the request line is not HTTP')
  const version = text.slice(targetEnd + 1, lineEnd)
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') return refusal(400, 'the request line is not HTTP/1.1')
  const method = text.slice(0, methodEnd)
  const target = text.slice(methodEnd + 1, targetEnd)
  if (!isToken(method) || target === '' || !isPrintable(target)) return refusal(400, 'the request line is not HTTP')
  const fields = readFields(text, lineEnd + 2)
  if (fields === undefined) return refusal(400, 'a header is not one')
  return toHead(method, target, version === 'HTTP/1.0', fields)
}

function toHead(method: string, target: string, isHttp10: boolean, fields: Fields): RequestHead | Refusal {
  let hosts = 0
  let length: number | undefined
  let isChunked = false
  let expectsContinue = false
  let isClosed = false
  let isKeptAlive = false
  for (const [name, value] of fields) {
    switch (name) {
      case 'host':
        hosts += 1
        break
      case 'content-length':
        if (length !== undefined) return refusal(400, 'there are two content-lengths')
        length = toLength(value)
        if (length === undefined) return refusal(400, 'the content-length is no length')
        break
      case 'transfer-encoding':
        if (isChunked || isHttp10) return refusal(400, 'the transfer-encoding is not to be here')
        if (value.toLowerCase() !== 'chunked') return refusal(501, 'the transfer-encoding is not chunked')
        isChunked = true
        break
      case 'connection': {
        const options = value.toLowerCase().split(',')
        isClosed ||= options.some((option) => option.trim() === 'close')
        isKeptAlive ||= options.some((option) => option.trim() === 'keep-alive')
        break
      }
      case 'expect':
        if (value.toLowerCase() !== '100-continue') return refusal(417, 'nothing but 100-continue can be expected')
        expectsContinue = !isHttp10
        break
      default:
    }
  }
  // Whoever read the request before us may have taken the other one: what follows could be smuggled in.
  if (isChunked && length !== undefined) return refusal(400, 'there are a content-length and a transfer-encoding')
  if (hosts > 1 || (hosts === 0 && !isHttp10)) return refusal(400, 'there is not one host')
  return {
    kind: 'head',
    method,
    target,
    fields,
    length: isChunked ? undefined : (length ?? 0),
    isKept: !isClosed && (!isHttp10 || isKeptAlive),
    isHttp10,
    expectsContinue,
  }
}

function toLength(value: string): number | undefined {
  if (value === '' || value.length > MAX_LENGTH_DIGITS) return undefined
  let length = 0
  for (let at = 0; at < value.length; at += 1) {
    const code = value.charCodeAt(at)
    if (code < ZERO || code > NINE) return undefined
    length = length * 10 + code - ZERO
  }
  return length
}
