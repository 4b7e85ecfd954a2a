// The upstream filter of REST clusters whose server learns the model's version from the path:
// `/v2/models/iris/versions/1/infer` becomes `/v2/models/iris_3/infer`, for `seldon-internal-model: iris_3`.
// Doing it twice (a retry) changes nothing more.
import { HeaderMap, HeadersAction } from './abi'
import { allocate, resetArena } from './arena'
import { indexOf, text, View } from './bytes'
import { getHeaders, setRequestHeader } from './host'
import { INTERNAL_MAX_BYTES, isPlain } from './names'
import { afterVersion, nameStart } from './oip'
import { Request } from './request'
import { Writer } from './writer'

const PATH = text(':path')
const MODELS = text('/v2/models/')
/** The name's part and what follows it but the query, which is at most an action. */
const PATH_MAX_BYTES: i32 = 65536

const request = new Request()
const view = new View()
const rewritten = new Writer(PATH_MAX_BYTES)

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  if (getHeaders(HeaderMap.REQUEST, view)) {
    request.read(view)
    rewritePath(request.path, request.internal)
  }
  return HeadersAction.CONTINUE
}

function rewritePath(path: View, internal: View): void {
  if (internal.size > INTERNAL_MAX_BYTES || !isPlain(internal.ptr, internal.size)) return
  const nameAt = nameStart(path)
  if (nameAt < 0) return
  const end = indexOf(path.ptr, path.size, 0x3f, 0)
  const rest = afterVersion(path.ptr, end, indexOf(path.ptr, end, 0x2f, nameAt))
  if (rest < 0 || path.size > PATH_MAX_BYTES - MODELS.size - INTERNAL_MAX_BYTES) return
  rewritten.reset().view(MODELS).view(internal).bytes(path.ptr + rest, path.size - rest)
  setRequestHeader(PATH, rewritten.ptr, rewritten.size)
}
