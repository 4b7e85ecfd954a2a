// Builds bytes in a fixed piece of memory. What does not fit is left out; nothing is ever written beyond the end.
import { hexDigit, isLetterOrDigit, View } from './bytes'

export class Writer {
  private readonly start: usize
  private readonly capacity: i32
  size: i32 = 0

  constructor(capacity: i32) {
    this.start = heap.alloc(capacity)
    this.capacity = capacity
  }

  get ptr(): usize {
    return this.start
  }

  reset(): Writer {
    this.size = 0
    return this
  }

  byte(value: u8): Writer {
    if (this.size < this.capacity) store<u8>(this.start + this.size++, value)
    return this
  }

  bytes(ptr: usize, size: i32): Writer {
    const fitting = min(size, this.capacity - this.size)
    memory.copy(this.start + this.size, ptr, fitting)
    this.size += fitting
    return this
  }

  @inline view(view: View): Writer {
    return this.bytes(view.ptr, view.size)
  }

  decimal(value: u32): Writer {
    let divisor: u32 = 1
    while (value / divisor >= 10) divisor *= 10
    for (; divisor > 0; divisor /= 10) this.byte(0x30 + <u8>((value / divisor) % 10))
    return this
  }

  /** In a JSON string: quotes, controls and what is not ASCII are escaped, one byte as one character. */
  json(ptr: usize, size: i32): Writer {
    for (let at = 0; at < size; at++) {
      const byte = load<u8>(ptr + at)
      if (byte == 0x22 || byte == 0x5c) this.byte(0x5c).byte(byte)
      else if (byte >= 0x20 && byte < 0x7f) this.byte(byte)
      else this.byte(0x5c).byte(0x75).byte(0x30).byte(0x30).byte(hexDigit(byte >> 4)).byte(hexDigit(byte & 15))
    }
    return this
  }

  /** As one field of a metric's name: every byte but letters, digits, `_` and `-` as `%XX`. */
  field(ptr: usize, size: i32): Writer {
    for (let at = 0; at < size; at++) {
      const byte = load<u8>(ptr + at)
      if (isLetterOrDigit(byte) || byte == 0x5f || byte == 0x2d) this.byte(byte)
      else this.byte(0x25).byte(hexDigit(byte >> 4)).byte(hexDigit(byte & 15))
    }
    return this
  }
}
