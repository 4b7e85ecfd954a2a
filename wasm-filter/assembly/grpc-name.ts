// Finds the name (field 1 of every OIP request) in the first message of a gRPC stream while it arrives. Pure.
import { FRAME_BYTES, isCompressed, messageLength } from './grpc-frame'

const NAME_FIELD: u32 = 1
const NAME_MAX: u32 = 80
/** How far a message is searched. */
export const SEARCH_BYTES: i32 = 65536

export namespace Search {
  export const MORE: i32 = 0
  /** All of it was searched: the name is what `nameSize` says, if any. */
  export const DONE: i32 = 1
  export const COMPRESSED: i32 = 2
  /** Not a protobuf message. */
  export const BROKEN: i32 = 3
}

/** The state of one stream. All zero is the state before the first byte. */
@unmanaged
export class Searching {
  /** Where the next field begins, in the body. */
  at: i32
  /** Where the search ends, in the body; 0 before the frame has come. */
  end: i32
  /** The whole message lies before `end`. */
  whole: i32
  nameSize: u32
}

@inline
export function nameOf(searching: Searching): usize {
  return changetype<usize>(searching) + offsetof<Searching>()
}

export const SEARCHING_BYTES: u32 = <u32>offsetof<Searching>() + NAME_MAX

/** Reads the frame. `size` bytes of the body are at `body`. */
export function readFrame(searching: Searching, body: usize, size: i32): i32 {
  if (size < FRAME_BYTES) return Search.MORE
  if (isCompressed(body)) return Search.COMPRESSED
  const length = messageLength(body)
  searching.whole = length <= <u32>(SEARCH_BYTES - FRAME_BYTES) ? 1 : 0
  searching.end = searching.whole ? FRAME_BYTES + <i32>length : SEARCH_BYTES
  searching.at = FRAME_BYTES
  return Search.DONE
}

/** What the last `readVarint` read. */
let varint: u64 = 0
/** The bytes at hand cannot be a message. */
let broken: bool = false

/** Reads a varint; the address behind it, or 0 when it is not whole, or `broken`. */
function readVarint(at: usize, end: usize): usize {
  varint = 0
  for (let shift: u32 = 0; shift < 64; shift += 7) {
    if (at >= end) return 0
    const byte = load<u8>(at++)
    varint |= (<u64>(byte & 0x7f)) << shift
    if (byte < 0x80) return at
  }
  broken = true
  return 0
}

/**
 * Reads fields as far as they have come. `window` holds the body's bytes from `searching.at` on, `size` of them, none beyond
 * `searching.end`. Contents are stepped over, whether they have come or not.
 */
export function readFields(searching: Searching, window: usize, size: i32): i32 {
  broken = false
  const base = searching.at
  const end = window + size
  while (searching.at < searching.end) {
    const start = window + (searching.at - base)
    if (start >= end) return Search.MORE
    const next = readField(searching, start, end)
    if (next < 0) return unfinished(searching, base + size)
    if (next > <i64>searching.end) {
      if (searching.whole) return Search.BROKEN
      searching.at = searching.end
    } else searching.at = <i32>next
  }
  return Search.DONE
}

/** A field that is cut off: by the search's end it ends the search, by what has come so far it waits for more. */
function unfinished(searching: Searching, came: i32): i32 {
  if (broken) return Search.BROKEN
  if (came < searching.end) return Search.MORE
  return searching.whole ? Search.BROKEN : Search.DONE
}

/** Where the field that starts at `start` ends, in the body; -1 when it is not whole yet (or `broken`). */
function readField(searching: Searching, start: usize, end: usize): i64 {
  let at = readVarint(start, end)
  if (at == 0) return -1
  const field = <u32>(varint >> 3)
  if (field == 0 || varint > u32.MAX_VALUE) return fail()
  switch (<u32>varint & 7) {
    case 0:
      at = readVarint(at, end)
      return at == 0 ? -1 : searching.at + <i64>(at - start)
    case 1:
      return searching.at + <i64>(at - start) + 8
    case 5:
      return searching.at + <i64>(at - start) + 4
    case 2:
      break
    default:
      return fail()
  }
  at = readVarint(at, end)
  if (at == 0) return -1
  if (varint > u32.MAX_VALUE) return fail()
  const length = <u32>varint
  if (field == NAME_FIELD) {
    if (length > NAME_MAX) return fail()
    if (<u32>(end - at) < length) return -1
    searching.nameSize = length
    memory.copy(nameOf(searching), at, length)
  }
  return searching.at + <i64>(at - start) + length
}

function fail(): i64 {
  broken = true
  return -1
}
