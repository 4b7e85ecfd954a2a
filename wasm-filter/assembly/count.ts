// Counts a request that has ended: what it was is in the headers that the route left, how it went in the answer's.
// Each value the host returns costs a re-entry into the VM (about 0.4 us), so this asks for four at most.
import { HeaderMap } from './abi'
import { isText, text, View } from './bytes'
import { addToCounter, getHeader, getProperty, nowNanoseconds, recordInHistogram } from './host'
import { ADDRESS_NONE } from './metric-names'
import { HEADER_INTERNAL, HEADER_PROTO, PROTO_GRPC } from './names'
import { SeriesTable } from './series'
import { startOf, wasGrpc } from './started'

const STATUS = text(':status')
const GRPC_STATUS = text('grpc-status')
const UPSTREAM_ADDRESS = text('upstream\0address')
const REQUEST_DURATION = text('request\0duration')
const GRPC_UNKNOWN: u32 = 2

const internal = new View()
const address = new View()
const value = new View()

export function countRequest(table: SeriesTable, contextId: u32): void {
  if (!getHeader(HeaderMap.REQUEST, HEADER_INTERNAL, internal)) return
  const start = startOf(contextId)
  const microseconds = (start != 0 ? nowNanoseconds() - start : durationByEnvoy()) / 1000
  const grpc = start != 0 ? wasGrpc(contextId) : wasGrpcByHeader()
  const code = grpc ? grpcCode() : httpCode()
  if (!getProperty(UPSTREAM_ADDRESS, address) || address.size == 0) address.set(ADDRESS_NONE.ptr, ADDRESS_NONE.size)
  const series = table.find(internal, address, grpc, code)
  addToCounter(series.requests, 1)
  addToCounter(series.microseconds, microseconds)
  recordInHistogram(series.duration, microseconds)
}

function durationByEnvoy(): u64 {
  return getProperty(REQUEST_DURATION, value) && value.size == 8 ? load<u64>(value.ptr) : 0
}

function wasGrpcByHeader(): bool {
  return getHeader(HeaderMap.REQUEST, HEADER_PROTO, value) && isText(value.ptr, value.size, PROTO_GRPC)
}

function httpCode(): u32 {
  return getHeader(HeaderMap.RESPONSE, STATUS, value) ? decimalOf(value, 0) : 0
}

/** In the trailers, or in the headers of an answer that has nothing else. */
function grpcCode(): u32 {
  if (getHeader(HeaderMap.RESPONSE_TRAILERS, GRPC_STATUS, value)) return decimalOf(value, GRPC_UNKNOWN)
  return getHeader(HeaderMap.RESPONSE, GRPC_STATUS, value) ? decimalOf(value, GRPC_UNKNOWN) : GRPC_UNKNOWN
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
