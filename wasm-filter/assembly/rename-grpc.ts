// The upstream filter of gRPC clusters whose server learns the model's version from the message. Messages of any size pass:
// only the first five bytes of each, and those of small ones, are ever copied into the VM.
import { BodyAction, BufferKind, HeaderMap, HeadersAction } from './abi'
import { allocate, resetArena } from './arena'
import { text, View } from './bytes'
import { FRAME_BYTES, messageLength } from './grpc-frame'
import { enterMessage, FrameCheck, frameOf, leaveMessage, Renaming, RENAMING_BYTES, setName, suffixOf } from './grpc-rename'
import { appendToBody, getBytes, getHeader, removeRequestHeader, replaceBodyStart } from './host'
import { HEADER_CONTENT_LENGTH, HEADER_INTERNAL, INTERNAL_MAX_BYTES, isPlain } from './names'
import { GrpcStatus, refuseMessage } from './refuse'
import { Streams } from './streams'
import { Writer } from './writer'

const COMPRESSED = text('this model cannot be called with compressed messages: send them uncompressed')
const TOO_LONG = text('a message of this length cannot be routed')
const TOO_MANY = text('too many streams are open')

/** What is copied into the VM at once. */
const PIECE_BYTES: i32 = 16384
/** Room for a piece that is all empty messages. */
const OUTPUT_BYTES: i32 = 16384
const OUTPUT_MARGIN: i32 = 128

const streams = new Streams(RENAMING_BYTES)
const view = new View()
const output = new Writer(OUTPUT_BYTES + OUTPUT_MARGIN)

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  if (!getHeader(HeaderMap.REQUEST, HEADER_INTERNAL, view)) return HeadersAction.CONTINUE
  if (view.size > INTERNAL_MAX_BYTES || !isPlain(view.ptr, view.size)) return HeadersAction.CONTINUE
  const state = streams.open(contextId)
  if (state == 0) {
    refuseMessage(GrpcStatus.RESOURCE_EXHAUSTED, TOO_MANY)
    return HeadersAction.STOP
  }
  setName(changetype<Renaming>(state), view.ptr, view.size)
  removeRequestHeader(HEADER_CONTENT_LENGTH)
  return HeadersAction.CONTINUE
}

export function proxy_on_request_body(contextId: u32, size: i32, endOfStream: i32): i32 {
  const state = streams.find(contextId)
  if (state == 0 || size == 0) return BodyAction.CONTINUE
  resetArena()
  const renaming = changetype<Renaming>(state)
  const check = passWhole(renaming, size)
  if (check == FrameCheck.GOOD) return BodyAction.CONTINUE
  streams.close(contextId)
  refuseMessage(GrpcStatus.UNIMPLEMENTED, check == FrameCheck.COMPRESSED ? COMPRESSED : TOO_LONG)
  return BodyAction.STOP
}

export function proxy_on_delete(contextId: u32): void {
  streams.close(contextId)
}

/** The chunks of most calls: within one message, or one message from its first byte. All others go byte by byte. */
function passWhole(renaming: Renaming, size: i32): i32 {
  if (renaming.frameSize == FRAME_BYTES) {
    if (renaming.left > <u32>size) {
      renaming.left -= size
      return FrameCheck.GOOD
    }
    if (renaming.left == size) {
      appendToBody(suffixOf(renaming), renaming.suffixSize)
      leaveMessage(renaming)
      return FrameCheck.GOOD
    }
  } else if (renaming.frameSize == 0 && size > PIECE_BYTES && getBytes(BufferKind.REQUEST_BODY, 0, FRAME_BYTES, view)) {
    const within = <u32>(size - FRAME_BYTES)
    if (messageLength(view.ptr) > within) {
      const check = enterMessage(renaming, view.ptr)
      if (check != FrameCheck.GOOD) return check
      renaming.left -= within
      replaceBodyStart(FRAME_BYTES, view.ptr, FRAME_BYTES)
      return FrameCheck.GOOD
    }
  }
  return passPieces(renaming, size)
}

/** Writes the chunk anew, piece by piece. One that fits is replaced at once; else it grows behind what is then drained. */
function passPieces(renaming: Renaming, size: i32): i32 {
  output.reset()
  flushed = false
  for (let at = 0; at < size; at += PIECE_BYTES) {
    const length = min(PIECE_BYTES, size - at)
    if (!getBytes(BufferKind.REQUEST_BODY, at, length, view)) return FrameCheck.TOO_LONG
    const check = renamePiece(renaming, view.ptr, view.size)
    if (check != FrameCheck.GOOD) return check
    resetArena()
  }
  if (!flushed) replaceBodyStart(size, output.ptr, output.size)
  else {
    flush()
    replaceBodyStart(size, output.ptr, 0)
  }
  return FrameCheck.GOOD
}

/** Whether some of the chunk at hand is already behind it. */
let flushed: bool = false

function flush(): void {
  appendToBody(output.ptr, output.size)
  output.reset()
  flushed = true
}

function renamePiece(renaming: Renaming, piece: usize, size: i32): i32 {
  const end = piece + size
  let at = piece
  while (at < end) {
    if (renaming.frameSize < FRAME_BYTES) {
      store<u8>(frameOf(renaming) + renaming.frameSize++, load<u8>(at++))
      if (renaming.frameSize < FRAME_BYTES) continue
      const check = enterMessage(renaming, frameOf(renaming))
      if (check != FrameCheck.GOOD) return check
      write(frameOf(renaming), FRAME_BYTES)
    }
    const taken = <i32>min<u32>(renaming.left, <u32>(end - at))
    write(at, taken)
    at += taken
    renaming.left -= taken
    if (renaming.left > 0) continue
    write(suffixOf(renaming), renaming.suffixSize)
    leaveMessage(renaming)
  }
  return FrameCheck.GOOD
}

function write(ptr: usize, size: i32): void {
  let at = 0
  while (size - at > OUTPUT_BYTES - output.size) {
    const fitting = OUTPUT_BYTES - output.size
    output.bytes(ptr + at, fitting)
    at += fitting
    flush()
  }
  output.bytes(ptr + at, size - at)
}
