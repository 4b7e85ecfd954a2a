// The upstream filter of clusters that take copies: it counts them, by the mirror's own name, whatever becomes of them. Nobody waits
// for a copy, so nothing else would tell that a mirror is down, slow or wrong.
import { HeaderMap, HeadersAction } from './abi'
import { Answer, decimalOf, GRPC_STATUS, GRPC_UNKNOWN, NO_GRPC_STATUS } from './answer'
import { allocate, resetArena } from './arena'
import { text, View } from './bytes'
import { addToCounter, getHeader, getHeaders, getProperty, nowNanoseconds, recordInHistogram } from './host'
import { ADDRESS_NONE } from './metric-names'
import { INTERNAL_MAX_BYTES } from './names'
import { Request } from './request'
import { SeriesTable } from './series'
import { Streams } from './streams'

const UPSTREAM_ADDRESS = text('upstream\0address')
const ADDRESS_MAX_BYTES: i32 = 64
const MAX_MODELS: u32 = 1000
const NO_ANSWER: u32 = 0
const NO_ANSWER_GRPC: u32 = 14

/** A copy under way. */
@unmanaged
class Copy {
  start: u64
  code: u32
  grpc: bool
  internalSize: u8
  addressSize: u8
}

const copies = new Streams(<u32>offsetof<Copy>() + INTERNAL_MAX_BYTES + ADDRESS_MAX_BYTES)
const request = new Request()
const answer = new Answer()
const series = new SeriesTable(true)
const view = new View()
const internal = new View()
const address = new View()

series.prepare(MAX_MODELS)

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  if (!getHeaders(HeaderMap.REQUEST, view)) return HeadersAction.CONTINUE
  request.read(view)
  const place = copies.open(contextId)
  if (place == 0) return HeadersAction.CONTINUE
  const copy = changetype<Copy>(place)
  copy.start = nowNanoseconds()
  copy.grpc = request.grpc
  copy.code = request.grpc ? NO_ANSWER_GRPC : NO_ANSWER
  copy.internalSize = <u8>min(request.internal.size, INTERNAL_MAX_BYTES)
  memory.copy(internalOf(place), request.internal.ptr, copy.internalSize)
  return HeadersAction.CONTINUE
}

export function proxy_on_response_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  const place = copies.find(contextId)
  if (place == 0) return HeadersAction.CONTINUE
  resetArena()
  getHeaders(HeaderMap.RESPONSE, view)
  answer.read(view)
  const copy = changetype<Copy>(place)
  if (!copy.grpc) copy.code = answer.httpStatus
  else if (answer.grpcStatus != NO_GRPC_STATUS) copy.code = answer.grpcStatus
  if (getProperty(UPSTREAM_ADDRESS, view) && view.size <= ADDRESS_MAX_BYTES) {
    copy.addressSize = <u8>view.size
    memory.copy(addressOf(place), view.ptr, view.size)
  }
  return HeadersAction.CONTINUE
}

export function proxy_on_response_trailers(contextId: u32, trailers: i32): i32 {
  const place = copies.find(contextId)
  if (place == 0 || !changetype<Copy>(place).grpc) return HeadersAction.CONTINUE
  resetArena()
  const known = getHeader(HeaderMap.RESPONSE_TRAILERS, GRPC_STATUS, view)
  changetype<Copy>(place).code = known ? decimalOf(view, GRPC_UNKNOWN) : GRPC_UNKNOWN
  return HeadersAction.CONTINUE
}

/** Answered, refused, given up or never sent: this comes in the end. */
export function proxy_on_delete(contextId: u32): void {
  const place = copies.find(contextId)
  if (place == 0) return
  const copy = changetype<Copy>(place)
  internal.set(internalOf(place), copy.internalSize)
  if (copy.addressSize == 0) address.set(ADDRESS_NONE.ptr, ADDRESS_NONE.size)
  else address.set(addressOf(place), copy.addressSize)
  const microseconds = (nowNanoseconds() - copy.start) / 1000
  const found = series.find(internal, address, copy.grpc, copy.code)
  copies.close(contextId)
  addToCounter(found.requests, 1)
  addToCounter(found.microseconds, microseconds)
  recordInHistogram(found.duration, microseconds)
}

@inline
function internalOf(place: usize): usize {
  return place + offsetof<Copy>()
}

@inline
function addressOf(place: usize): usize {
  return internalOf(place) + INTERNAL_MAX_BYTES
}
