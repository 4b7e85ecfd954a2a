// The five bytes before each gRPC message: a flag (1 = compressed) and the length, big-endian.

export const FRAME_BYTES: i32 = 5

@inline
export function isCompressed(frame: usize): bool {
  return load<u8>(frame) != 0
}

@inline
export function messageLength(frame: usize): u32 {
  return bswap<u32>(load<u32>(frame + 1))
}

@inline
export function setMessageLength(frame: usize, length: u32): void {
  store<u32>(frame + 1, bswap<u32>(length))
}
