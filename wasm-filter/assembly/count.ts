// Counts a request that has ended, from what the route and the server left in the answer's headers.
// Each call that returns bytes re-enters the VM for memory (about 0.4 us), so there are two of them: all headers of the answer in
// one, and the server's address; for gRPC a third, the status in the trailers.
import { HeaderMap } from './abi'
import { isText, text, View } from './bytes'
import { HeaderPairs } from './header-pairs'
import { addToCounter, getHeader, getHeaders, getProperty, nowNanoseconds, recordInHistogram } from './host'
import { measure, takeCandidate } from './measure'
import { ADDRESS_NONE } from './metric-names'
import { HEADER_INTERNAL, HEADER_ROUTE } from './names'
import { isGrpc } from './request'
import { SeriesTable } from './series'
import { startOf, wasGrpc } from './started'

const STATUS = text(':status')
const GRPC_STATUS = text('grpc-status')
const CONTENT_TYPE = text('content-type')
const UPSTREAM_ADDRESS = text('upstream\0address')
const REQUEST_DURATION = text('request\0duration')
const COLON: u8 = 0x3a
const GRPC_UNKNOWN: u32 = 2
const NO_GRPC_STATUS: u32 = u32.MAX_VALUE

/** What the headers of an answer say. */
class Answer {
  /** Of the last route token, `:iris_3:`; empty when there is none. */
  readonly internal: View = new View()
  httpStatus: u32 = 0
  grpcStatus: u32 = NO_GRPC_STATUS
  private readonly pairs: HeaderPairs = new HeaderPairs()

  read(serialized: View): void {
    this.internal.clear()
    this.httpStatus = 0
    this.grpcStatus = NO_GRPC_STATUS
    this.pairs.start(serialized)
    while (this.pairs.next()) this.header(this.pairs.name, this.pairs.value)
  }

  private header(name: View, value: View): void {
    if (isText(name.ptr, name.size, STATUS)) this.httpStatus = decimalOf(value, 0)
    else if (isText(name.ptr, name.size, GRPC_STATUS)) this.grpcStatus = decimalOf(value, GRPC_UNKNOWN)
    else if (isText(name.ptr, name.size, HEADER_ROUTE) && isToken(value)) this.internal.set(value.ptr + 1, value.size - 2)
  }
}

function isToken(value: View): bool {
  return value.size > 2 && load<u8>(value.ptr) == COLON && load<u8>(value.ptr + value.size - 1) == COLON
}

const answer = new Answer()
const view = new View()
const address = new View()

export function countRequest(table: SeriesTable, contextId: u32): void {
  getHeaders(HeaderMap.RESPONSE, view)
  answer.read(view)
  const internal = answer.internal
  const candidate = takeCandidate(contextId)
  // An answer without the token (the client left first, or Envoy answered) may still be one of a model's route.
  const routed = internal.size > 0 || getHeader(HeaderMap.REQUEST, HEADER_INTERNAL, internal)
  if (!routed && candidate == 0) return
  const start = startOf(contextId)
  const microseconds = (start != 0 ? nowNanoseconds() - start : durationByEnvoy()) / 1000
  const grpc = start != 0 ? wasGrpc(contextId) : wasGrpcByHeader()
  const code = grpc ? grpcCode() : answer.httpStatus
  if (candidate != 0) measure(candidate, grpc, answer.httpStatus != 0, code, microseconds)
  if (!routed) return
  if (!getProperty(UPSTREAM_ADDRESS, address) || address.size == 0) address.set(ADDRESS_NONE.ptr, ADDRESS_NONE.size)
  const series = table.find(internal, address, grpc, code)
  addToCounter(series.requests, 1)
  addToCounter(series.microseconds, microseconds)
  recordInHistogram(series.duration, microseconds)
}

function durationByEnvoy(): u64 {
  return getProperty(REQUEST_DURATION, view) && view.size == 8 ? load<u64>(view.ptr) : 0
}

function wasGrpcByHeader(): bool {
  return getHeader(HeaderMap.REQUEST, CONTENT_TYPE, view) && isGrpc(view)
}

/** In the trailers, unless the answer had nothing but headers. */
function grpcCode(): u32 {
  if (answer.grpcStatus != NO_GRPC_STATUS) return answer.grpcStatus
  return getHeader(HeaderMap.RESPONSE_TRAILERS, GRPC_STATUS, view) ? decimalOf(view, GRPC_UNKNOWN) : GRPC_UNKNOWN
}

/** The number; `otherwise` for anything but one to three digits. */
function decimalOf(digits: View, otherwise: u32): u32 {
  if (digits.size == 0 || digits.size > 3) return otherwise
  let number: u32 = 0
  for (let at = 0; at < digits.size; at++) {
    const digit: u32 = <u32>load<u8>(digits.ptr + at) - 0x30
    if (digit > 9) return otherwise
    number = number * 10 + digit
  }
  return number
}
