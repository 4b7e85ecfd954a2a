// Counts a request that has ended, from what the route and the server left in the answer's headers.
// Each call that returns bytes re-enters the VM for memory (about 0.4 us), so there are two of them: all headers of the answer in
// one, and the server's address; for gRPC a third, the status in the trailers.
import { HeaderMap } from './abi'
import { Answer, decimalOf, GRPC_STATUS, GRPC_UNKNOWN, NO_GRPC_STATUS } from './answer'
import { text, View } from './bytes'
import { addToCounter, getHeader, getHeaders, getProperty, nowNanoseconds, recordInHistogram } from './host'
import { measure, takeCandidate } from './measure'
import { ADDRESS_NONE } from './metric-names'
import { HEADER_INTERNAL } from './names'
import { isGrpc } from './request'
import { SeriesTable } from './series'
import { startOf, wasGrpc } from './started'

const CONTENT_TYPE = text('content-type')
const UPSTREAM_ADDRESS = text('upstream\0address')
const REQUEST_DURATION = text('request\0duration')

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
