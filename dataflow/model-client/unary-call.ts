/**
 * One unary gRPC call over HTTP/1.1, which Envoy takes like one over HTTP/2 and which costs a fifth of it here: a pipeline makes
 * several for each request. Ends once, whatever happens: answer, status, broken connection, deadline.
 */
import { type Due, type DueList, NOWHERE } from '../../kit/due-list.ts'
import type { Connections, Exchange } from './connections.ts'
import type { Http1Response } from './http1-response.ts'
import { type ModelFailure, ownFailure, toModelFailure } from './model-failure.ts'

const FRAME_BYTES = 5
const OK = '0'
const UNKNOWN = 2
/** Below this, copying costs less than sending parts. */
const COPIED_BYTES = 32 * 1024

export interface UnaryRequest {
  /** What all calls of one method begin with: see `headStart`. */
  readonly start: string
  readonly model: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The message, without its frame; parts are sent one after the other, by reference. */
  readonly parts: readonly Uint8Array[]
  readonly timeoutMs: number
  readonly maxAnswerBytes: number
}

export type UnaryEnd =
  | { readonly kind: 'answered'; readonly message: Buffer; readonly routes: readonly string[] }
  | { readonly kind: 'failed'; readonly failure: ModelFailure }

/** By what calls are made. */
export interface Channel {
  readonly connections: Connections
  readonly deadlines: DueList
  readonly nowMs: () => number
}

export interface UnaryCall {
  /** `onEnd` is not called any more. */
  cancel(): void
}

/** `onEnd` is called exactly once, never before this returns, unless the call was cancelled. */
export function callUnary(channel: Channel, request: UnaryRequest, onEnd: (end: UnaryEnd) => void): UnaryCall {
  try {
    return new SentCall(channel, request, onEnd)
  } catch (error) {
    return refuse(error, onEnd) // the client is closed, or a header that HTTP cannot carry
  }
}

class SentCall implements UnaryCall, Exchange, Due {
  readonly parts: readonly Uint8Array[]
  readonly maxAnswerBytes: number
  connection: Exchange['connection']
  readonly dueMs: number
  duePlace = NOWHERE
  readonly #timeoutMs: number
  readonly #channel: Channel
  readonly #onEnd: (end: UnaryEnd) => void

  constructor(channel: Channel, request: UnaryRequest, onEnd: (end: UnaryEnd) => void) {
    const { timeoutMs, maxAnswerBytes } = request
    this.parts = toParts(request)
    this.maxAnswerBytes = maxAnswerBytes
    this.connection = undefined
    this.dueMs = channel.nowMs() + Math.trunc(timeoutMs) // before that of a request that gave it all the time it had
    this.#timeoutMs = timeoutMs
    this.#channel = channel
    this.#onEnd = onEnd
    channel.connections.send(this)
    channel.deadlines.add(this)
  }

  onEnd(end: Http1Response | Error): void {
    this.#channel.deadlines.delete(this)
    this.#onEnd(end instanceof Error ? failed(brokenFailure(end)) : toEnd(end))
  }

  onDue(): void {
    this.#channel.connections.giveUp(this)
    this.#onEnd(failed(ownFailure('DEADLINE_EXCEEDED', `no answer within ${String(Math.ceil(this.#timeoutMs))} ms`)))
  }

  cancel(): void {
    this.#channel.deadlines.delete(this)
    this.#channel.connections.giveUp(this)
  }
}

function refuse(error: unknown, onEnd: (end: UnaryEnd) => void): UnaryCall {
  const reason = error instanceof Error ? error.message : String(error)
  let isOver = false
  queueMicrotask(() => {
    if (!isOver) onEnd(failed(ownFailure('INGRESS_UNAVAILABLE', `the ingress could not be asked: ${reason}`)))
  })
  return {
    cancel: () => {
      isOver = true
    },
  }
}

/** What would end a header, or is no character of one. */
const NOT_OF_A_HEADER = /[^\t\x20-\x7e\x80-\xff]/

/** Of the head of a call: what is the same for all models. */
export const headStart = (path: string, authority: string): string =>
  `POST ${path} HTTP/1.1\r\nhost: ${authority}\r\ncontent-type: application/grpc\r\nte: trailers\r\n`

/** @throws Error for a value that HTTP does not carry */
function toLine(name: string, value: string): string {
  if (NOT_OF_A_HEADER.test(value)) throw new Error(`the header ${name} has a character that HTTP does not carry`)
  return `${name}: ${value}\r\n`
}

/** Head, frame and message. @throws Error */
function toParts({ start, model, headers, timeoutMs, parts }: UnaryRequest): readonly Uint8Array[] {
  let length = 0
  for (const part of parts) length += part.byteLength
  let head =
    start +
    toLine('seldon-model', model) +
    `grpc-timeout: ${toGrpcTimeout(timeoutMs)}\r\ncontent-length: ${String(length + FRAME_BYTES)}\r\n`
  for (const header of headers) head += toLine(header[0], header[1])
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
  const status = trailers.grpcStatus ?? headers.grpcStatus // an answer without a body has it among its headers
  if (status === undefined) return failed(noStatus(httpStatus))
  if (status !== OK) {
    const code = /^\d{1,2}$/.test(status) ? Number(status) : UNKNOWN
    const message = trailers.grpcMessage ?? headers.grpcMessage ?? ''
    return failed(toModelFailure(code, decodeMessage(message), trailers.errorCode ?? headers.errorCode))
  }
  if (body.byteLength < FRAME_BYTES || body[0] !== 0 || body.readUInt32BE(1) !== body.byteLength - FRAME_BYTES)
    return failed(ownFailure('PEER_FAILED', 'the model server answered with something that is no gRPC message'))
  return { kind: 'answered', message: body.subarray(FRAME_BYTES), routes: headers.routes }
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
