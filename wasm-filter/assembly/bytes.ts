// Bytes at addresses: compared, copied and written as bytes, never decoded into strings.

/** A piece of memory that somebody else owns. Instances are made once, at start, and filled again and again. */
export class View {
  ptr: usize = 0
  size: i32 = 0

  @inline set(ptr: usize, size: i32): void {
    this.ptr = ptr
    this.size = size
  }

  @inline clear(): void {
    this.size = 0
  }
}

/** A constant as UTF-8. Only for module level: the memory is never freed. */
export function text(value: string): View {
  const view = new View()
  view.set(changetype<usize>(String.UTF8.encode(value)), String.UTF8.byteLength(value))
  return view
}

export function bytesEqual(a: usize, b: usize, size: i32): bool {
  let at = 0
  for (; at + 8 <= size; at += 8) {
    if (load<u64>(a + at) != load<u64>(b + at)) return false
  }
  for (; at < size; at++) {
    if (load<u8>(a + at) != load<u8>(b + at)) return false
  }
  return true
}

@inline
export function isText(ptr: usize, size: i32, constant: View): bool {
  return size == constant.size && bytesEqual(ptr, constant.ptr, size)
}

@inline
export function startsWithBytes(ptr: usize, size: i32, prefix: usize, prefixSize: i32): bool {
  return size >= prefixSize && bytesEqual(ptr, prefix, prefixSize)
}

@inline
export function startsWith(ptr: usize, size: i32, prefix: View): bool {
  return size >= prefix.size && bytesEqual(ptr, prefix.ptr, prefix.size)
}

/** Whether the last `suffix.size` bytes are `suffix`, with something before them. */
@inline
export function endsWith(ptr: usize, size: i32, suffix: View): bool {
  return size > suffix.size && bytesEqual(ptr + size - suffix.size, suffix.ptr, suffix.size)
}

/** Where `byte` is at or after `from`; `size` when nowhere. */
export function indexOf(ptr: usize, size: i32, byte: u8, from: i32): i32 {
  let at = from
  while (at < size && load<u8>(ptr + at) != byte) at++
  return at
}

/** The number; -1 for anything but 1 to 15 decimal digits. */
export function decimal(ptr: usize, size: i32): i64 {
  if (size == 0 || size > 15) return -1
  let number: i64 = 0
  for (let at: usize = ptr; at < ptr + size; at++) {
    const digit: u32 = <u32>load<u8>(at) - 0x30
    if (digit > 9) return -1
    number = number * 10 + digit
  }
  return number
}

/** The value of a hexadecimal digit; -1 for any other byte. */
export function hexValue(byte: u8): i32 {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30
  const lower = byte | 0x20
  if (lower >= 0x61 && lower <= 0x66) return lower - 0x61 + 10
  return -1
}

@inline
export function hexDigit(value: u8): u8 {
  return value < 10 ? 0x30 + value : 0x41 + value - 10
}

@inline
export function isLetterOrDigit(byte: u8): bool {
  const lower = byte | 0x20
  return (byte >= 0x30 && byte <= 0x39) || (lower >= 0x61 && lower <= 0x7a)
}
