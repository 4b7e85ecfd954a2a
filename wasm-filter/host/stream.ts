/** One request run through a filter on such a host, the way Envoy calls a filter for it. */
import type { Answered, ProxyHost, Header, LocalReply } from './proxy-host.ts'

export interface StreamRequest {
  readonly headers: readonly Header[]
  /** The body as it arrives; none: the headers end the stream. */
  readonly chunks?: readonly Uint8Array[]
  readonly answered?: Answered
  readonly durationNanoseconds?: bigint
}

export interface StreamResult {
  readonly headers: readonly Header[]
  /** What was passed on of the body. */
  readonly body: Uint8Array
  readonly localReply: LocalReply | undefined
  /** The filter still holds the headers back although everything has come. */
  readonly held: boolean
  /** Chunks of the body that were passed on, in order. */
  readonly passed: readonly Uint8Array[]
}

const TARGET_HEADER = 'x-millrace-target'
const CONTINUE = 0
const STOP_AND_BUFFER = 1

/** Context ids only grow, as Envoy's do. */
let nextContextId = 100

export const valueOf = (headers: readonly Header[], name: string): string | undefined =>
  headers.findLast(([key]) => key === name)?.[1]

/** What `router` chose: what is routed to, and the shard whose route table holds it. */
export interface Routed {
  readonly target: string
  readonly shard: number
}

/** From the header that `router` adds; undefined when it added none. @throws Error when it is no such header */
export function routedBy(headers: readonly Header[]): Routed | undefined {
  const value = valueOf(headers, TARGET_HEADER)
  if (value === undefined) return undefined
  const [, target, shard] = /^([^?]+)\?(\d+)$/.exec(value) ?? []
  if (target === undefined) throw new Error(`the router filter set ${TARGET_HEADER}: ${value}`)
  return { target, shard: Number(shard) }
}

/** Runs a request to its end: headers, body, log, delete. */
export function runStream(host: ProxyHost, request: StreamRequest): StreamResult {
  const stream = openStream(host, request)
  const chunks = request.chunks ?? []
  chunks.forEach((chunk, index) => {
    stream.push(chunk, index === chunks.length - 1)
  })
  return stream.end(request.answered, request.durationNanoseconds)
}

export interface OpenStream {
  push(chunk: Uint8Array, endOfStream: boolean): void
  end(answered?: Answered, durationNanoseconds?: bigint): StreamResult
}

/** Starts a request; its body follows with `push`. */
export function openStream(host: ProxyHost, request: StreamRequest): OpenStream {
  const { exports } = host
  const contextId = nextContextId++
  const endOfStream = request.chunks === undefined ? 1 : 0
  host.requestHeaders = [...request.headers]
  host.localReply = undefined
  let held = exports.proxy_on_request_headers?.(contextId, request.headers.length, endOfStream) !== CONTINUE
  let headers = host.requestHeaders
  let localReply = host.localReply as LocalReply | undefined
  let buffered = new Uint8Array()
  const passed: Uint8Array[] = []
  return {
    push: (chunk, end) => {
      if (localReply !== undefined) return
      host.requestHeaders = headers
      host.localReply = undefined
      host.body = Buffer.concat([buffered, chunk])
      const action = exports.proxy_on_request_body?.(contextId, host.body.length, end ? 1 : 0) ?? CONTINUE
      headers = host.requestHeaders
      localReply = host.localReply as LocalReply | undefined
      buffered = action === STOP_AND_BUFFER ? host.body : new Uint8Array()
      if (action !== CONTINUE) return
      held = false
      passed.push(host.body)
    },
    end: (answered = {}, durationNanoseconds = 0n) => {
      host.requestHeaders = headers
      host.answered = answered
      host.nowNanoseconds += durationNanoseconds
      const { headers: answer = [], trailers = [] } = answered
      if (answer.length > 0)
        exports.proxy_on_response_headers?.(contextId, answer.length, trailers.length === 0 ? 1 : 0)
      if (trailers.length > 0) exports.proxy_on_response_trailers?.(contextId, trailers.length)
      exports.proxy_on_log?.(contextId)
      exports.proxy_on_delete?.(contextId)
      return { headers, body: Buffer.concat(passed), localReply, held, passed }
    },
  }
}
