// Renames every message of a gRPC stream as it passes, without keeping it: in protobuf the last value of a field wins, so the
// new model_name (or name) and an empty version are put at the end of each message, and its frame says that it is longer.
// What was there before, in whatever order and however often, no longer counts. Pure.
import { FRAME_BYTES, isCompressed, messageLength, setMessageLength } from './grpc-frame'

export const SUFFIX_MAX_BYTES: i32 = 80
const FIELD_NAME: u8 = 0x0a
const FIELD_VERSION: u8 = 0x12

/** The state of one stream. All zero is the state between two messages. */
@unmanaged
export class Renaming {
  suffixSize: i32
  /** Bytes of the frame at hand that have come; FRAME_BYTES: in the message. */
  frameSize: i32
  /** Bytes of the message at hand that have not come. */
  left: u32
  /** The frame as it came; a word, of which five bytes are used. */
  frame: u64
}

@inline
export function frameOf(renaming: Renaming): usize {
  return changetype<usize>(renaming) + offsetof<Renaming>('frame')
}

/** Behind the state: what is put at the end of each message. */
@inline
export function suffixOf(renaming: Renaming): usize {
  return changetype<usize>(renaming) + offsetof<Renaming>()
}

export const RENAMING_BYTES: u32 = <u32>offsetof<Renaming>() + SUFFIX_MAX_BYTES

export function setName(renaming: Renaming, name: usize, size: i32): void {
  const suffix = suffixOf(renaming)
  store<u8>(suffix, FIELD_NAME)
  store<u8>(suffix + 1, <u8>size)
  memory.copy(suffix + 2, name, size)
  store<u8>(suffix + 2 + size, FIELD_VERSION)
  store<u8>(suffix + 3 + size, 0)
  renaming.suffixSize = size + 4
}

export namespace FrameCheck {
  export const GOOD: i32 = 0
  export const COMPRESSED: i32 = 1
  export const TOO_LONG: i32 = 2
}

/** Enters the message of a frame that is complete, and lengthens the frame where it lies. */
export function enterMessage(renaming: Renaming, frame: usize): i32 {
  if (isCompressed(frame)) return FrameCheck.COMPRESSED
  const length = messageLength(frame)
  if (length > u32.MAX_VALUE - SUFFIX_MAX_BYTES) return FrameCheck.TOO_LONG
  renaming.left = length
  renaming.frameSize = FRAME_BYTES
  setMessageLength(frame, length + renaming.suffixSize)
  return FrameCheck.GOOD
}

/** A message has ended: the next byte begins a frame. */
@inline
export function leaveMessage(renaming: Renaming): void {
  renaming.frameSize = 0
}
