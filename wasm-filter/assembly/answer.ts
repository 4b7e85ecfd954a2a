// What the headers of an answer say. Pure.
import { isText, text, View } from './bytes'
import { HeaderPairs } from './header-pairs'
import { HEADER_ROUTE } from './names'

const STATUS = text(':status')
export const GRPC_STATUS = text('grpc-status')
const COLON: u8 = 0x3a
export const GRPC_UNKNOWN: u32 = 2
export const NO_GRPC_STATUS: u32 = u32.MAX_VALUE

export class Answer {
  /** Of the last route token, `:iris_3:`; empty when there is none. */
  readonly internal: View = new View()
  httpStatus: u32 = 0
  grpcStatus: u32 = NO_GRPC_STATUS
  private readonly pairs: HeaderPairs = new HeaderPairs()

  read(serialized: View): void {
    this.internal.clear()
    this.httpStatus = 0
    this.grpcStatus = NO_GRPC_STATUS
    this.pairs.start(serialized)
    while (this.pairs.next()) this.header(this.pairs.name, this.pairs.value)
  }

  private header(name: View, value: View): void {
    if (isText(name.ptr, name.size, STATUS)) this.httpStatus = decimalOf(value, 0)
    else if (isText(name.ptr, name.size, GRPC_STATUS)) this.grpcStatus = decimalOf(value, GRPC_UNKNOWN)
    else if (isText(name.ptr, name.size, HEADER_ROUTE) && isToken(value)) this.internal.set(value.ptr + 1, value.size - 2)
  }
}

function isToken(value: View): bool {
  return value.size > 2 && load<u8>(value.ptr) == COLON && load<u8>(value.ptr + value.size - 1) == COLON
}

/** The number; `otherwise` for anything but one to three digits. */
export function decimalOf(digits: View, otherwise: u32): u32 {
  if (digits.size == 0 || digits.size > 3) return otherwise
  let number: u32 = 0
  for (let at = 0; at < digits.size; at++) {
    const digit: u32 = <u32>load<u8>(digits.ptr + at) - 0x30
    if (digit > 9) return otherwise
    number = number * 10 + digit
  }
  return number
}
