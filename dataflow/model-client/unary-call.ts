/**
 * One unary gRPC call over node's HTTP/2 directly: half the CPU and latency of grpc-js, which matters because a pipeline
 * makes several for each request. Ends once, whatever happens: answer, status, broken connection, deadline.
 */
import type { ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'
import { constants } from 'node:http2'
import { ERROR_CODE_KEY } from '../../kit/grpc.ts'
import type { Connections } from './connections.ts'
import { type ModelFailure, ownFailure, toModelFailure } from './model-failure.ts'

const FRAME_BYTES = 5
const OK = '0'
const UNKNOWN = 2
/** setTimeout takes no more: 24 days. */
const MAX_TIMER_MS = 0x7fff_ffff

export interface UnaryCall {
  readonly headers: OutgoingHttpHeaders
  /** The message, without its frame; parts are sent one after the other, by reference. */
  readonly parts: readonly Uint8Array[]
  readonly timeoutMs: number
  readonly maxAnswerBytes: number
}

export type UnaryEnd =
  | { readonly kind: 'answered'; readonly message: Buffer; readonly headers: IncomingHttpHeaders }
  | { readonly kind: 'failed'; readonly failure: ModelFailure }

/** `onEnd` is called exactly once, unless the returned function, which ends the call, was called before. */
export function callUnary(connections: Connections, call: UnaryCall, onEnd: (end: UnaryEnd) => void): () => void {
  const { timeoutMs, maxAnswerBytes } = call
  let stream: ClientHttp2Stream
  try {
    stream = connections.request(call.headers)
  } catch (error) {
    return refuse(error, onEnd) // a connection that is gone this moment, or a header that HTTP/2 cannot carry
  }
  let headers: IncomingHttpHeaders = {}
  let trailers: IncomingHttpHeaders | undefined
  let size = 0
  let broken: Error | undefined
  let isOver = false
  const chunks: Buffer[] = []

  const stop = (): void => {
    isOver = true
    clearTimeout(timer)
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL)
  }
  const settle = (end: UnaryEnd): void => {
    if (isOver) return
    stop()
    onEnd(end)
  }
  const timer = setTimeout(
    () => {
      settle(failed(ownFailure('DEADLINE_EXCEEDED', `no answer within ${String(Math.ceil(timeoutMs))} ms`)))
    },
    Math.min(timeoutMs, MAX_TIMER_MS),
  )

  stream.on('response', (received) => {
    headers = received
  })
  stream.on('trailers', (received) => {
    trailers = received
  })
  stream.on('data', (chunk: Buffer) => {
    size += chunk.byteLength
    if (size > maxAnswerBytes)
      settle(failed(ownFailure('REQUEST_TOO_LARGE', `the answer is larger than ${String(maxAnswerBytes)} bytes`)))
    else chunks.push(chunk)
  })
  stream.on('error', (error) => {
    broken = error.cause instanceof Error ? error.cause : error
  })
  stream.on('end', () => {
    const end = trailers ?? headers // an answer without a body has its status among its headers
    if (end['grpc-status'] === undefined || isOver) return
    isOver = true // the stream ends by itself
    clearTimeout(timer)
    onEnd(toEnd(end, headers, chunks))
  })
  stream.on('close', () => {
    settle(failed(brokenFailure(headers, broken)))
  })
  write(stream, call.parts)
  return stop
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

function write(
  stream: { write(part: Uint8Array): boolean; end(part?: Uint8Array): unknown },
  parts: readonly Uint8Array[],
): void {
  const length = parts.reduce((sum, part) => sum + part.byteLength, 0)
  const frame = Buffer.alloc(FRAME_BYTES)
  frame.writeUInt32BE(length, 1)
  const [only] = parts
  if (parts.length === 1 && only !== undefined && length < 65_536) {
    stream.end(Buffer.concat([frame, only]))
    return
  }
  stream.write(frame)
  for (const part of parts) stream.write(part)
  stream.end()
}

const failed = (failure: ModelFailure): UnaryEnd => ({ kind: 'failed', failure })

function toEnd(end: IncomingHttpHeaders, headers: IncomingHttpHeaders, chunks: readonly Buffer[]): UnaryEnd {
  const status = String(end['grpc-status'])
  if (status !== OK) {
    const sent = end[ERROR_CODE_KEY] ?? headers[ERROR_CODE_KEY]
    const code = /^\d{1,2}$/.test(status) ? Number(status) : UNKNOWN
    return failed(
      toModelFailure(code, decodeMessage(end['grpc-message']), sent === undefined ? undefined : String(sent)),
    )
  }
  const [only] = chunks
  const bytes = chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks)
  if (bytes.byteLength < FRAME_BYTES || bytes[0] !== 0 || bytes.readUInt32BE(1) !== bytes.byteLength - FRAME_BYTES)
    return failed(ownFailure('PEER_FAILED', 'the model server answered with something that is no gRPC message'))
  return { kind: 'answered', message: bytes.subarray(FRAME_BYTES), headers }
}

function brokenFailure(headers: IncomingHttpHeaders, broken: Error | undefined): ModelFailure {
  const status = headers[':status']
  if (status !== undefined && Number(status) !== 200)
    return ownFailure('PEER_FAILED', `the ingress answered with HTTP status ${String(status)}`)
  const reason = broken?.message ?? 'the connection ended'
  return ownFailure('INGRESS_UNAVAILABLE', `the ingress gave no answer: ${reason}`)
}

/** gRPC percent-encodes what is not plain ASCII; what does not decode is passed on as it is. */
function decodeMessage(sent: string | readonly string[] | undefined): string {
  const text = typeof sent === 'string' ? sent : (sent?.[0] ?? '')
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
