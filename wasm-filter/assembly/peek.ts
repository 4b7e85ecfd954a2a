// gRPC calls that carry no `seldon-model`: their headers wait until the first message has said which model they are for.
import { BufferKind } from './abi'
import { text, View } from './bytes'
import { nameOf, readFields, readFrame, Search, SEARCH_BYTES, Searching, SEARCHING_BYTES } from './grpc-name'
import { getBytes } from './host'
import { Streams } from './streams'

export namespace Peek {
  /** Not one that waits. */
  export const NONE: i32 = 0
  /** More of the body must come; until then Envoy keeps what came. */
  export const WAIT: i32 = 1
  /** `peekedName` is what the message says. */
  export const NAMED: i32 = 2
  /** `peekProblem` says why there is no name. */
  export const FAILED: i32 = 3
}

export const NO_MESSAGE = text('the call has no message that could name a model: send the header seldon-model')
export const TOO_MANY = text('too many calls without the header seldon-model are waiting: send it')
const NO_NAME = text('no model is named in the first 64 KiB of the message: send the header seldon-model')
const COMPRESSED = text('the name of the model cannot be read from a compressed message: send the header seldon-model')
const BROKEN = text('the message is not a valid request: no model can be read from it; send the header seldon-model')

/** Valid until the next call of `peekName`. */
export const peekedName = new View()
export let peekProblem = NO_MESSAGE

const name: usize = memory.data(80)
const waiting = new Streams(SEARCHING_BYTES)
const view = new View()

/** Makes a call wait for its name; false when too many wait already. */
export function holdForName(contextId: u32): bool {
  return waiting.open(contextId) != 0
}

/** The stream is gone. */
@inline
export function forgetHeld(contextId: u32): void {
  if (waiting.any) waiting.close(contextId)
}

/** Looks into the body, of which `size` bytes have come in all. */
@inline
export function peekName(contextId: u32, size: i32, endOfStream: bool): i32 {
  return waiting.any ? peekHeld(contextId, size, endOfStream) : Peek.NONE
}

function peekHeld(contextId: u32, size: i32, endOfStream: bool): i32 {
  const state = waiting.find(contextId)
  if (state == 0) return Peek.NONE
  const searching = changetype<Searching>(state)
  const found = search(searching, size)
  if (found == Search.MORE && !endOfStream) return Peek.WAIT
  peekedName.set(name, searching.nameSize)
  memory.copy(name, nameOf(searching), searching.nameSize)
  waiting.close(contextId)
  if (found == Search.DONE && peekedName.size > 0) return Peek.NAMED
  peekProblem = problemOf(found)
  return Peek.FAILED
}

/** Goes on from where the last chunk left it; what lies before that, and contents of fields, are not fetched again. */
function search(searching: Searching, size: i32): i32 {
  if (searching.end == 0) {
    if (!getBytes(BufferKind.REQUEST_BODY, 0, min(size, SEARCH_BYTES), view)) return Search.MORE
    const frame = readFrame(searching, view.ptr, view.size)
    if (frame != Search.DONE) return frame
    const window = min(view.size, searching.end) - searching.at
    if (window > 0) return readFields(searching, view.ptr + searching.at, window)
  }
  const came = min(size, searching.end)
  if (searching.at >= searching.end) return Search.DONE
  if (searching.at >= came) return Search.MORE
  if (!getBytes(BufferKind.REQUEST_BODY, searching.at, came - searching.at, view)) return Search.MORE
  return readFields(searching, view.ptr, view.size)
}

function problemOf(found: i32): View {
  if (found == Search.COMPRESSED) return COMPRESSED
  if (found == Search.BROKEN) return BROKEN
  return found == Search.DONE ? NO_NAME : NO_MESSAGE
}
