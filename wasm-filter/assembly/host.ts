// The host functions with their statuses checked: the rest of the filters sees views and booleans.
import * as abi from './abi'
import { View } from './bytes'
import { Writer } from './writer'

/** Where the host writes addresses, sizes, ids and times. */
const out: usize = memory.data(16)

function returned(status: i32, into: View): bool {
  if (status != abi.Status.OK) {
    into.clear()
    return false
  }
  into.set(<usize>load<u32>(out), load<i32>(out + 4))
  return true
}

/** All headers in one call, as `HeaderPairs` reads them. */
@inline
export function getHeaders(map: i32, into: View): bool {
  return returned(abi.proxy_get_header_map_pairs(map, out, out + 4), into)
}

@inline
export function getHeader(map: i32, name: View, into: View): bool {
  return returned(abi.proxy_get_header_map_value(map, name.ptr, name.size, out, out + 4), into)
}

@inline
export function addRequestHeader(name: View, ptr: usize, size: i32): void {
  abi.proxy_add_header_map_value(abi.HeaderMap.REQUEST, name.ptr, name.size, ptr, size)
}

@inline
export function setRequestHeader(name: View, ptr: usize, size: i32): void {
  abi.proxy_replace_header_map_value(abi.HeaderMap.REQUEST, name.ptr, name.size, ptr, size)
}

@inline
export function removeRequestHeader(name: View): void {
  abi.proxy_remove_header_map_value(abi.HeaderMap.REQUEST, name.ptr, name.size)
}

@inline
export function getBytes(buffer: i32, start: i32, length: i32, into: View): bool {
  return returned(abi.proxy_get_buffer_bytes(buffer, start, length, out, out + 4), into)
}

/** Replaces the first `drained` bytes of the request body at hand. */
@inline
export function replaceBodyStart(drained: i32, ptr: usize, size: i32): void {
  abi.proxy_set_buffer_bytes(abi.BufferKind.REQUEST_BODY, 0, drained, ptr, size)
}

/** Adds to the end of the request body at hand. */
@inline
export function appendToBody(ptr: usize, size: i32): void {
  abi.proxy_set_buffer_bytes(abi.BufferKind.REQUEST_BODY, i32.MAX_VALUE, 0, ptr, size)
}

@inline
export function getProperty(path: View, into: View): bool {
  return returned(abi.proxy_get_property(path.ptr, path.size, out, out + 4), into)
}

@inline
export function nowNanoseconds(): u64 {
  abi.proxy_get_current_time_nanoseconds(out + 8)
  return load<u64>(out + 8)
}

export function warn(message: Writer): void {
  abi.proxy_log(abi.LogLevel.WARN, message.ptr, message.size)
}

/** Answers the request here, with `headers` serialised as pairs (or none). The callback must then return STOP. */
export function answer(httpStatus: i32, details: View, body: Writer, headers: View, grpcStatus: i32): void {
  abi.proxy_send_local_response(httpStatus, details.ptr, details.size, body.ptr, body.size, headers.ptr, headers.size, grpcStatus)
}

/** The id of a metric; 0 when the host refuses it. */
export function defineMetric(kind: i32, name: Writer): u32 {
  return abi.proxy_define_metric(kind, name.ptr, name.size, out) == abi.Status.OK ? load<u32>(out) : 0
}

@inline
export function addToCounter(id: u32, amount: u64): void {
  abi.proxy_increment_metric(id, <i64>amount)
}

@inline
export function recordInHistogram(id: u32, value: u64): void {
  abi.proxy_record_metric(id, value)
}
