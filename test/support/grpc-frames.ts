/** gRPC messages as bytes, for tests that cut, damage and compare them. */

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts)

export function varint(value: number): Uint8Array {
  const bytes: number[] = []
  let left = value
  while (left > 0x7f) {
    bytes.push((left & 0x7f) | 0x80)
    left = Math.floor(left / 128)
  }
  return Buffer.from([...bytes, left])
}

/** A length-delimited field. */
export function field(number: number, content: Uint8Array | string): Uint8Array {
  const bytes = typeof content === 'string' ? Buffer.from(content) : content
  return concat(varint(number * 8 + 2), varint(bytes.length), bytes)
}

/** A message with its frame. */
export function frame(message: Uint8Array, flag = 0): Uint8Array {
  const head = Buffer.alloc(5)
  head.writeUInt8(flag, 0)
  head.writeUInt32BE(message.length, 1)
  return concat(head, message)
}

/** The messages of a stream of whole frames. */
export function parseFrames(stream: Uint8Array): Uint8Array[] {
  const bytes = Buffer.from(stream)
  const messages: Uint8Array[] = []
  for (let at = 0; at < bytes.length;) {
    const end = at + 5 + bytes.readUInt32BE(at + 1)
    if (end > bytes.length) throw new Error(`the frame at ${String(at)} ends beyond the stream`)
    messages.push(bytes.subarray(at + 5, end))
    at = end
  }
  return messages
}

/** Cuts bytes into chunks of these sizes, used again and again. */
export function cut(bytes: Uint8Array, ...sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = []
  for (let at = 0; at < bytes.length || chunks.length === 0;) {
    const size = Math.max(1, sizes[chunks.length % sizes.length] ?? bytes.length)
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}
