// Reads lines of fields, which one space separates.
import { decimal, indexOf, View } from './bytes'

/** The field read last. */
export const field = new View()
/** The place in the text, and the end of the line that it is in. */
let at: usize = 0
let lineEnd: usize = 0
let end: usize = 0

export function startText(ptr: usize, size: i32): void {
  at = ptr
  lineEnd = ptr - 1
  end = ptr + size
}

/** Goes to the next line; false at the end of the text. */
export function nextLine(): bool {
  at = lineEnd + 1
  if (at >= end) return false
  lineEnd = at + indexOf(at, <i32>(end - at), 0x0a, 0)
  return true
}

/** Whether all of the line has been read. */
@inline
export function atLineEnd(): bool {
  return at == lineEnd
}

/** The next field of the line into `field`; false when there is none, or it is empty. */
export function nextField(): bool {
  const size = <i32>(lineEnd - at)
  const length = indexOf(at, size, 0x20, 0)
  field.set(at, length)
  at += length
  if (length < size) {
    at++
    if (at == lineEnd) return false
  }
  return length > 0
}

/** The next number of the line, at most `most`; -1 when there is none. */
export function nextNumber(most: i64): i64 {
  if (!nextField()) return -1
  const value = decimal(field.ptr, field.size)
  return value > most ? -1 : value
}
