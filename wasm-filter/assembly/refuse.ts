// Answers that the filters give themselves: REST as JSON `{"error": "..."}`, gRPC as a status with a message.
import { NO_GRPC_STATUS } from './abi'
import { text, View } from './bytes'
import { answer } from './host'
import { Writer } from './writer'

export namespace GrpcStatus {
  export const INVALID_ARGUMENT: i32 = 3
  export const RESOURCE_EXHAUSTED: i32 = 8
  export const UNIMPLEMENTED: i32 = 12
}

const QUOTED_MAX: i32 = 96
const body = new Writer(1024)
/** One header, serialised as pairs. */
const JSON_HEADERS = pairOf(text('content-type'), text('application/json'))
const NO_HEADERS = new View()

const DETAILS_LIVE = text('millrace_live')
const DETAILS_CALL = text('millrace_call_refused')
const DETAILS_NAME = text('millrace_name_refused')
const DETAILS_SIZE = text('millrace_size_refused')
const DETAILS_MESSAGE = text('millrace_message_refused')

const LIVE_BODY = text('{"live":true}')
const ERROR_OPEN = text('{"error":"')
const ERROR_CLOSE = text('"}')
const NOT_SERVED_REST = text(' is not served here: inference, metadata and ready of models and pipelines are')
const NOT_SERVED_GRPC = text(' is not served here: ModelInfer, ModelStreamInfer, ModelMetadata and ModelReady are')
const TOO_LARGE = text('the request body is larger than the limit of ')
const BYTES = text(' bytes')
const MODEL = text('model ')
const NAME_RULE = text(' not found: a name has letters, digits, - and at most 63 characters')

export function answerLive(): void {
  answer(200, DETAILS_LIVE, body.reset().view(LIVE_BODY), JSON_HEADERS, NO_GRPC_STATUS)
}

export function refuseCall(grpc: bool, method: View, path: View): void {
  if (grpc) {
    answer(200, DETAILS_CALL, quote(body.reset(), path).view(NOT_SERVED_GRPC), NO_HEADERS, GrpcStatus.UNIMPLEMENTED)
    return
  }
  jsonQuote(body.reset().view(ERROR_OPEN), method).byte(0x20)
  jsonQuote(body, path).view(NOT_SERVED_REST).view(ERROR_CLOSE)
  answer(404, DETAILS_CALL, body, JSON_HEADERS, NO_GRPC_STATUS)
}

export function refuseName(grpc: bool, name: View): void {
  if (grpc) {
    quote(body.reset().view(MODEL), name).view(NAME_RULE)
    answer(200, DETAILS_NAME, body, NO_HEADERS, GrpcStatus.INVALID_ARGUMENT)
    return
  }
  jsonQuote(body.reset().view(ERROR_OPEN).view(MODEL), name).view(NAME_RULE).view(ERROR_CLOSE)
  answer(404, DETAILS_NAME, body, JSON_HEADERS, NO_GRPC_STATUS)
}

export function refuseSize(grpc: bool, most: i64): void {
  body.reset()
  if (!grpc) body.view(ERROR_OPEN)
  body.view(TOO_LARGE).decimal(<u32>most).view(BYTES)
  if (grpc) answer(200, DETAILS_SIZE, body, NO_HEADERS, GrpcStatus.RESOURCE_EXHAUSTED)
  else answer(413, DETAILS_SIZE, body.view(ERROR_CLOSE), JSON_HEADERS, NO_GRPC_STATUS)
}

/** Refuses a gRPC message for what is in it. */
export function refuseMessage(grpcStatus: i32, message: View): void {
  answer(200, DETAILS_MESSAGE, body.reset().view(message), NO_HEADERS, grpcStatus)
}

function quote(writer: Writer, view: View): Writer {
  return writer.bytes(view.ptr, min(view.size, QUOTED_MAX))
}

function jsonQuote(writer: Writer, view: View): Writer {
  return writer.json(view.ptr, min(view.size, QUOTED_MAX))
}

function pairOf(name: View, value: View): View {
  const size = 4 + 8 + name.size + 1 + value.size + 1
  const pairs = heap.alloc(size)
  memory.fill(pairs, 0, size)
  store<i32>(pairs, 1)
  store<i32>(pairs, name.size, 4)
  store<i32>(pairs, value.size, 8)
  memory.copy(pairs + 12, name.ptr, name.size)
  memory.copy(pairs + 12 + name.size + 1, value.ptr, value.size)
  const view = new View()
  view.set(pairs, size)
  return view
}
