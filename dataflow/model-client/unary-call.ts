/**
 * One unary gRPC call over HTTP/1.1, which Envoy takes like one over HTTP/2 and which costs a fifth of it here: a pipeline makes
 * several for each request. Ends once, whatever happens: answer, status, broken connection, deadline.
 */
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import type { Connections } from './connections.ts'
import { fieldOf, type Http1Response } from './http1-response.ts'
import { type ModelFailure, ownFailure, toModelFailure } from './model-failure.ts'

const FRAME_BYTES = 5
const OK = '0'
const UNKNOWN = 2
/** Below this, copying costs less than sending parts. */
const COPIED_BYTES = 32 * 1024
/** setTimeout takes no more: 24 days. */
const MAX_TIMER_MS = 0x7fff_ffff

export interface UnaryCall {
  readonly path: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The message, without its frame; parts are sent one after the other, by reference. */
  readonly parts: readonly Uint8Array[]
  readonly timeoutMs: number
  readonly maxAnswerBytes: number
}

export type UnaryEnd =
  | { readonly kind: 'answered'; readonly message: Buffer; readonly headers: Http1Response['headers'] }
  | { readonly kind: 'failed'; readonly failure: ModelFailure }

/** `onEnd` is called exactly once, unless the returned function, which ends the call, was called before. */
export function callUnary(connections: Connections, call: UnaryCall, onEnd: (end: UnaryEnd) => void): () => void {
  const { timeoutMs, maxAnswerBytes } = call
  let cancel: () => void
  try {
    cancel = connections.send({ parts: toParts(call), maxAnswerBytes }, (end) => {
      clearTimeout(timer)
      onEnd(end instanceof Error ? failed(brokenFailure(end)) : toEnd(end))
    })
  } catch (error) {
    return refuse(error, onEnd) // the client is closed, or a header that HTTP cannot carry
  }
  const timer = setTimeout(
    () => {
      cancel()
      onEnd(failed(ownFailure('DEADLINE_EXCEEDED', `no answer within ${String(Math.ceil(timeoutMs))} ms`)))
    },
    Math.min(timeoutMs, MAX_TIMER_MS),
  )
  return () => {
    clearTimeout(timer)
    cancel()
  }
}

function refuse(error: unknown, onEnd: (end: UnaryEnd) => void): () => void {
  const reason = error instanceof Error ? error.message : String(error)
  let isOver = false
  queueMicrotask(() => {
    if (!isOver) onEnd(failed(ownFailure('INGRESS_UNAVAILABLE', `the ingress could not be asked: ${reason}`)))
  })
  return () => {
    isOver = true
  }
}

/** What would end a header, or is no character of one. */
const NOT_OF_A_HEADER = /[^\t\x20-\x7e\x80-\xff]/

/** Head, frame and message. */
function toParts({ path, headers, timeoutMs, parts }: UnaryCall): readonly Uint8Array[] {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
  let head =
    `POST ${path} HTTP/1.1\r\ncontent-type: application/grpc\r\nte: trailers\r\n` +
    `grpc-timeout: ${toGrpcTimeout(timeoutMs)}\r\ncontent-length: ${String(length + FRAME_BYTES)}\r\n`
  for (const [name, value] of headers) {
    if (NOT_OF_A_HEADER.test(value)) throw new Error(`the header ${name} has a character that HTTP does not carry`)
    head += `${name}: ${value}\r\n`
  }
  head += '\r\n'
  const isCopied = length <= COPIED_BYTES
  const first = Buffer.allocUnsafe(head.length + FRAME_BYTES + (isCopied ? length : 0))
  let at = first.write(head, 0, 'latin1')
  first[at] = 0
  at = first.writeUInt32BE(length, at + 1)
  if (!isCopied) return [first, ...parts]
  for (const part of parts) {
    first.set(part, at)
    at += part.byteLength
  }
  return [first]
}

/** At most eight digits. */
const toGrpcTimeout = (timeoutMs: number): string =>
  `${String(Math.min(Math.max(Math.ceil(timeoutMs), 1), 99_999_999))}m`

const failed = (failure: ModelFailure): UnaryEnd => ({ kind: 'failed', failure })

function toEnd({ status: httpStatus, headers, trailers, body }: Http1Response): UnaryEnd {
  const sent = (name: string): string | undefined => fieldOf(trailers, name) ?? fieldOf(headers, name)
  const status = sent('grpc-status') // an answer without a body has it among its headers
  if (status === undefined) return failed(noStatus(httpStatus))
  if (status !== OK) {
    const code = /^\d{1,2}$/.test(status) ? Number(status) : UNKNOWN
    return failed(toModelFailure(code, decodeMessage(sent('grpc-message') ?? ''), sent(ERROR_CODE_KEY)))
  }
  if (body.byteLength < FRAME_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.byteLength - FRAME_BYTES)
    return failed(ownFailure('PEER_FAILED', 'the model server answered with something that is no gRPC message'))
  return { kind: 'answered', message: body.subarray(FRAME_BYTES), headers }
}

const noStatus = (httpStatus: number): ModelFailure =>
  ownFailure(
    'PEER_FAILED',
    httpStatus === 200
      ? 'the ingress answered without a gRPC status'
      : `the ingress answered with HTTP status ${String(httpStatus)}`,
  )

const brokenFailure = (error: Error): ModelFailure =>
  error instanceof RangeError
    ? ownFailure('REQUEST_TOO_LARGE', error.message)
    : ownFailure('INGRESS_UNAVAILABLE', `the ingress gave no answer: ${error.message}`)

/** gRPC percent-encodes what is not plain ASCII; what does not decode is passed on as it is. */
function decodeMessage(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
