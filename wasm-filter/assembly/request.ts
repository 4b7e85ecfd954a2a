// The headers of a request that the filters look at, found in one pass. Pure.
import { decimal, isText, startsWith, text, View } from './bytes'
import { HeaderPairs } from './header-pairs'
import { HEADER_CONTENT_LENGTH, HEADER_INTERNAL, HEADER_MIRROR, HEADER_MODEL, HEADER_TARGET, lastElement } from './names'

const PATH = text(':path')
const METHOD = text(':method')
const CONTENT_TYPE = text('content-type')
const GRPC = text('application/grpc')

export class Request {
  readonly path: View = new View()
  readonly method: View = new View()
  /** What the client asked for in `seldon-model`; empty when it did not. */
  readonly asked: View = new View()
  readonly internal: View = new View()
  grpc: bool = false
  hasContentLength: bool = false
  /** What `content-length` says, in bytes; 0 without one, `i64.MAX_VALUE` when it is no number that a body can have. */
  contentLength: i64 = 0
  /** The client sent a header that only we may set. */
  forged: bool = false
  private readonly pairs: HeaderPairs = new HeaderPairs()

  read(serialized: View): void {
    this.path.clear()
    this.method.clear()
    this.asked.clear()
    this.internal.clear()
    this.grpc = false
    this.hasContentLength = false
    this.contentLength = 0
    this.forged = false
    const pairs = this.pairs
    pairs.start(serialized)
    while (pairs.next()) this.header(pairs.name, pairs.value)
  }

  /** By the name's length first: most headers are told apart without comparing a byte. */
  private header(name: View, value: View): void {
    switch (name.size) {
      case 5:
        if (isText(name.ptr, 5, PATH)) this.path.set(value.ptr, value.size)
        break
      case 7:
        if (isText(name.ptr, 7, METHOD)) this.method.set(value.ptr, value.size)
        break
      case 12:
        if (isText(name.ptr, 12, CONTENT_TYPE)) this.grpc = isGrpc(value)
        else if (isText(name.ptr, 12, HEADER_MODEL)) this.ask(value)
        break
      case 14:
        if (isText(name.ptr, 14, HEADER_CONTENT_LENGTH)) this.announce(value)
        break
      case 17:
        if (isText(name.ptr, 17, HEADER_TARGET) || isText(name.ptr, 17, HEADER_MIRROR)) this.forged = true
        break
      case 21:
        if (isText(name.ptr, 21, HEADER_INTERNAL)) {
          this.internal.set(value.ptr, value.size)
          this.forged = true
        }
        break
    }
  }

  private announce(length: View): void {
    this.hasContentLength = true
    const bytes = decimal(length.ptr, length.size)
    this.contentLength = bytes < 0 ? i64.MAX_VALUE : bytes
  }

  /** The last name wins; an empty header asks for nothing. */
  private ask(value: View): void {
    const before = this.asked.ptr
    const size = this.asked.size
    this.asked.set(value.ptr, value.size)
    lastElement(this.asked)
    if (this.asked.size == 0) this.asked.set(before, size)
  }
}

/** `application/grpc`, `application/grpc+proto`, `application/grpc;...`; not `application/grpc-web`. */
export function isGrpc(contentType: View): bool {
  if (!startsWith(contentType.ptr, contentType.size, GRPC)) return false
  if (contentType.size == GRPC.size) return true
  const next = load<u8>(contentType.ptr + GRPC.size)
  return next == 0x2b || next == 0x3b || next == 0x20
}
