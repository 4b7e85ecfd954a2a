// What a call is, by its path alone: the only calls that reach a server are those on these two lists. Pure.
import { endsWith, indexOf, isText, startsWith, text, View } from './bytes'
import { isPlain, NAME_MAX_BYTES, percentDecode, SUFFIX_PIPELINE, TARGET_MAX_BYTES, toTarget } from './names'

export namespace Call {
  /** Not on the lists. */
  export const REFUSED: i32 = 0
  /** Inference, metadata or ready of the model or pipeline that is asked for. */
  export const MODEL: i32 = 1
  /** About the mesh as a whole: any server may answer. */
  export const SERVER: i32 = 2
  /** `/ready`: whether routes are there. */
  export const ROUTES_READY: i32 = 3
  /** `/v2/health/live`: that this filter runs is the answer. */
  export const LIVE: i32 = 4
  /** A model's path with a name that cannot be one. */
  export const BAD_NAME: i32 = 5
}

const GRPC_SERVICE = text('/inference.GRPCInferenceService/')
const MODEL_INFER = text('ModelInfer')
const MODEL_STREAM_INFER = text('ModelStreamInfer')
const MODEL_METADATA = text('ModelMetadata')
const MODEL_READY = text('ModelReady')
const SERVER_LIVE = text('ServerLive')
const SERVER_READY = text('ServerReady')
const SERVER_METADATA = text('ServerMetadata')

/** The gRPC call of this path; compared exactly, so no query, no case and no encoding passes. */
export function grpcCall(path: View): i32 {
  if (!startsWith(path.ptr, path.size, GRPC_SERVICE)) return Call.REFUSED
  const method = path.ptr + GRPC_SERVICE.size
  const size = path.size - GRPC_SERVICE.size
  if (isText(method, size, MODEL_INFER)) return Call.MODEL
  if (isText(method, size, MODEL_STREAM_INFER)) return Call.MODEL
  if (isText(method, size, MODEL_METADATA)) return Call.MODEL
  if (isText(method, size, MODEL_READY)) return Call.MODEL
  if (isText(method, size, SERVER_READY)) return Call.SERVER
  if (isText(method, size, SERVER_LIVE)) return Call.SERVER
  if (isText(method, size, SERVER_METADATA)) return Call.SERVER
  return Call.REFUSED
}

const POST = text('POST')
const GET = text('GET')
const HEAD = text('HEAD')
const READY = text('/ready')
const MODELS = text('/v2/models/')
const PIPELINES = text('/v2/pipelines/')
const VERSIONS = text('/versions/')
const SERVER = text('/v2')
const HEALTH_READY = text('/v2/health/ready')
const HEALTH_LIVE = text('/v2/health/live')
const INFER = text('/infer')
const INFER_STREAM = text('/infer_stream')
const GENERATE = text('/generate')
const GENERATE_STREAM = text('/generate_stream')

/** The name in the last path that `restCall` read, as it stands there. */
export const pathName = new View()
/** The target that it makes; valid after `Call.MODEL`. */
export const pathTarget = new View()
const decoded: usize = memory.data(128)
const DECODED_MAX: i32 = 96

/** The REST call of this path and method; a `MODEL` call leaves what it names in `pathName` and `pathTarget`. */
export function restCall(path: View, method: View): i32 {
  const size = indexOf(path.ptr, path.size, 0x3f, 0)
  if (startsWith(path.ptr, size, MODELS)) return modelCall(path.ptr, size, MODELS.size, false, method)
  if (startsWith(path.ptr, size, PIPELINES)) return modelCall(path.ptr, size, PIPELINES.size, true, method)
  if (!reads(method)) return Call.REFUSED
  if (isText(path.ptr, size, READY)) return Call.ROUTES_READY
  if (isText(path.ptr, size, HEALTH_LIVE)) return Call.LIVE
  if (isText(path.ptr, size, HEALTH_READY) || isText(path.ptr, size, SERVER)) return Call.SERVER
  return Call.REFUSED
}

function modelCall(path: usize, size: i32, nameAt: i32, pipeline: bool, method: View): i32 {
  const nameEnd = indexOf(path, size, 0x2f, nameAt)
  const action = afterVersion(path, size, nameEnd)
  if (action < 0 || !isAction(path + action, size - action, method)) return Call.REFUSED
  pathName.set(path + nameAt, nameEnd - nameAt)
  return decodeName(pathName.ptr, pathName.size, pipeline) ? Call.MODEL : Call.BAD_NAME
}

/** Where the action begins after the name and `/versions/{v}`, if there is one; -1 for a version that is none. */
export function afterVersion(path: usize, size: i32, nameEnd: i32): i32 {
  if (!startsWith(path + nameEnd, size - nameEnd, VERSIONS)) return nameEnd
  const versionAt = nameEnd + VERSIONS.size
  const end = indexOf(path, size, 0x2f, versionAt)
  return end - versionAt <= NAME_MAX_BYTES && isPlain(path + versionAt, end - versionAt) ? end : -1
}

function isAction(ptr: usize, size: i32, method: View): bool {
  if (size == 0 || isText(ptr, size, READY)) return reads(method)
  if (!isText(method.ptr, method.size, POST)) return false
  if (isText(ptr, size, INFER)) return true
  return isText(ptr, size, INFER_STREAM) || isText(ptr, size, GENERATE) || isText(ptr, size, GENERATE_STREAM)
}

function reads(method: View): bool {
  return isText(method.ptr, method.size, GET) || isText(method.ptr, method.size, HEAD)
}

/** Decodes the name into `pathTarget`, as a pipeline's target when the path says so. */
function decodeName(ptr: usize, size: i32, pipeline: bool): bool {
  const length = percentDecode(ptr, size, decoded, DECODED_MAX)
  if (length <= 0) return false
  pathTarget.set(decoded, length)
  if (!toTarget(pathTarget)) return false
  if (pipeline && !endsWith(pathTarget.ptr, pathTarget.size, SUFFIX_PIPELINE)) {
    memory.copy(decoded + pathTarget.size, SUFFIX_PIPELINE.ptr, SUFFIX_PIPELINE.size)
    pathTarget.size += SUFFIX_PIPELINE.size
  }
  return pathTarget.size <= TARGET_MAX_BYTES
}

/** Where the name begins in a path of a model or pipeline; -1 in any other. */
export function nameStart(path: View): i32 {
  if (startsWith(path.ptr, path.size, MODELS)) return MODELS.size
  if (startsWith(path.ptr, path.size, PIPELINES)) return PIPELINES.size
  return -1
}
