// Names as they may be asked for, and the constants that the control plane repeats (a test compares them).
import { endsWith, hexValue, indexOf, isLetterOrDigit, text, View } from './bytes'

export const HEADER_MODEL = text('seldon-model')
export const HEADER_INTERNAL = text('seldon-internal-model')
/** `<target>?<shard>`: one header, because each costs a call to the host and a removal. */
export const HEADER_TARGET = text('x-millrace-target')
export const HEADER_MIRROR = text('x-millrace-mirror')
export const HEADER_ROUTE = text('x-seldon-route')
export const HEADER_CONTENT_LENGTH = text('content-length')
export const PROTO_REST = text('rest')
export const PROTO_GRPC = text('grpc')
export const TARGET_READY = text('_ready')
export const TARGET_MESH = text('_mesh')
export const SUFFIX_PIPELINE = text('.pipeline')
const SUFFIX_MODEL = text('.model')
const SUFFIX_EXPERIMENT = text('.experiment')

export const NAME_MAX_BYTES: i32 = 63
/** A name with the longest suffix, `.experiment`. */
export const TARGET_MAX_BYTES: i32 = 74
/** A name, `_` and a version number. */
export const INTERNAL_MAX_BYTES: i32 = 74

/** Letters, digits, `-`, `_` and `.`, the first a letter or a digit: so never a special target, never `..`. */
export function isPlain(ptr: usize, size: i32): bool {
  if (size == 0 || !isLetterOrDigit(load<u8>(ptr))) return false
  for (let at = 1; at < size; at++) {
    const byte = load<u8>(ptr + at)
    if (!isLetterOrDigit(byte) && byte != 0x2d && byte != 0x5f && byte != 0x2e) return false
  }
  return true
}

export function isTarget(ptr: usize, size: i32): bool {
  return size <= TARGET_MAX_BYTES && isPlain(ptr, size)
}

/** Turns what was asked for into a target, in place (`m.model` is `m`). False: not a name. */
export function toTarget(asked: View): bool {
  if (endsWith(asked.ptr, asked.size, SUFFIX_MODEL)) asked.size -= SUFFIX_MODEL.size
  let bare = asked.size
  if (endsWith(asked.ptr, bare, SUFFIX_PIPELINE)) bare -= SUFFIX_PIPELINE.size
  else if (endsWith(asked.ptr, bare, SUFFIX_EXPERIMENT)) bare -= SUFFIX_EXPERIMENT.size
  return bare <= NAME_MAX_BYTES && isPlain(asked.ptr, asked.size)
}

/** The last element of a header that may be a comma-separated list, without the spaces around it, in place. */
export function lastElement(value: View): void {
  for (let comma = indexOf(value.ptr, value.size, 0x2c, 0); comma < value.size; ) {
    value.set(value.ptr + comma + 1, value.size - comma - 1)
    comma = indexOf(value.ptr, value.size, 0x2c, 0)
  }
  while (value.size > 0 && isSpace(load<u8>(value.ptr))) value.set(value.ptr + 1, value.size - 1)
  while (value.size > 0 && isSpace(load<u8>(value.ptr + value.size - 1))) value.size--
}

@inline
function isSpace(byte: u8): bool {
  return byte == 0x20 || byte == 0x09
}

/** Percent-decodes into `into` (of `capacity` bytes); -1: a broken escape, or too long. */
export function percentDecode(ptr: usize, size: i32, into: usize, capacity: i32): i32 {
  let written = 0
  for (let at = 0; at < size; at++) {
    if (written == capacity) return -1
    let byte = load<u8>(ptr + at)
    if (byte == 0x25) {
      if (at + 2 >= size) return -1
      const high = hexValue(load<u8>(ptr + at + 1))
      const low = hexValue(load<u8>(ptr + at + 2))
      if (high < 0 || low < 0) return -1
      byte = <u8>((high << 4) | low)
      at += 2
    }
    store<u8>(into + written++, byte)
  }
  return written
}
