// The downstream filter for gRPC calls that carry no `seldon-model`: holds the headers until the first message has said which
// model it is for. Envoy inserts it (composite filter) only for such calls, so no other pays for looking into bodies.
import { BodyAction, BufferKind, HeaderMap, HeadersAction } from './abi'
import { allocate, resetArena } from './arena'
import { text, View } from './bytes'
import { nameOf, readFields, readFrame, Search, SEARCH_BYTES, Searching, SEARCHING_BYTES } from './grpc-name'
import { addRequestHeader, getBytes, getHeaders } from './host'
import { HEADER_MODEL, isTarget } from './names'
import { Call, grpcCall } from './oip'
import { GrpcStatus, refuseMessage, refuseName } from './refuse'
import { Request } from './request'
import { Streams } from './streams'

const NO_MESSAGE = text('the call has no message that could name a model: send the header seldon-model')
const NO_NAME = text('no model is named in the first 64 KiB of the message: send the header seldon-model')
const COMPRESSED = text('the name of the model cannot be read from a compressed message: send the header seldon-model')
const BROKEN = text('the message is not a valid request: no model can be read from it; send the header seldon-model')
const TOO_MANY = text('too many calls without the header seldon-model are waiting: send it')

const streams = new Streams(SEARCHING_BYTES)
const request = new Request()
const view = new View()

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  if (!getHeaders(HeaderMap.REQUEST, view)) return HeadersAction.CONTINUE
  request.read(view)
  if (!request.grpc || request.asked.size > 0 || grpcCall(request.path) != Call.MODEL) return HeadersAction.CONTINUE
  if (endOfStream) return refuseHeaders(GrpcStatus.INVALID_ARGUMENT, NO_MESSAGE)
  if (streams.open(contextId) == 0) return refuseHeaders(GrpcStatus.RESOURCE_EXHAUSTED, TOO_MANY)
  return HeadersAction.STOP
}

function refuseHeaders(grpcStatus: i32, message: View): i32 {
  refuseMessage(grpcStatus, message)
  return HeadersAction.STOP
}

/** `size` is that of all that has come: until there is an answer, Envoy keeps it. */
export function proxy_on_request_body(contextId: u32, size: i32, endOfStream: i32): i32 {
  const state = streams.find(contextId)
  if (state == 0) return BodyAction.CONTINUE
  resetArena()
  const searching = changetype<Searching>(state)
  const found = search(searching, size)
  if (found == Search.MORE && !endOfStream) return BodyAction.STOP_AND_BUFFER
  const passes = found == Search.DONE && searching.nameSize > 0 ? ask(searching) : refuse(found)
  streams.close(contextId)
  return passes ? BodyAction.CONTINUE : BodyAction.STOP
}

/** Asks for the model in the client's place. What cannot be a name never becomes a header. */
function ask(searching: Searching): bool {
  view.set(nameOf(searching), searching.nameSize)
  if (!isTarget(view.ptr, view.size)) {
    refuseName(true, view)
    return false
  }
  addRequestHeader(HEADER_MODEL, view.ptr, view.size)
  return true
}

function refuse(found: i32): bool {
  refuseMessage(GrpcStatus.INVALID_ARGUMENT, reasonOf(found))
  return false
}

export function proxy_on_delete(contextId: u32): void {
  streams.close(contextId)
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

function reasonOf(found: i32): View {
  if (found == Search.COMPRESSED) return COMPRESSED
  if (found == Search.BROKEN) return BROKEN
  return found == Search.DONE ? NO_NAME : NO_MESSAGE
}
