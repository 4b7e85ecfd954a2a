// What to do with a request, from its headers alone. Pure: no host call, nothing kept but the answer.
import { View } from './bytes'
import { TARGET_MESH, TARGET_READY, toTarget } from './names'
import { Call, grpcCall, pathName, pathTarget, restCall } from './oip'
import { Request } from './request'

export namespace Verdict {
  export const ROUTE: i32 = 0
  export const ANSWER_LIVE: i32 = 1
  /** The call is not one that is let through. */
  export const REFUSE_CALL: i32 = 2
  /** What is asked for cannot be a name. */
  export const REFUSE_NAME: i32 = 3
  /** Only the message can say which model is asked for. */
  export const HOLD: i32 = 4
  /** The request says that its body is larger than the limit. */
  export const REFUSE_SIZE: i32 = 5
}

/** Where a request goes (ROUTE), or what it asks for in vain (REFUSE_NAME). */
export const target = new View()

export function decide(request: Request, maxRequestBytes: i64): i32 {
  if (request.contentLength > maxRequestBytes) return Verdict.REFUSE_SIZE
  const call = request.grpc ? grpcCall(request.path) : restCall(request.path, request.method)
  switch (call) {
    case Call.MODEL:
      return modelVerdict(request)
    case Call.SERVER:
      return routeTo(TARGET_MESH)
    case Call.ROUTES_READY:
      return routeTo(TARGET_READY)
    case Call.LIVE:
      return Verdict.ANSWER_LIVE
    case Call.BAD_NAME:
      target.set(pathName.ptr, pathName.size)
      return Verdict.REFUSE_NAME
    default:
      return Verdict.REFUSE_CALL
  }
}

/** The header beats the path; a gRPC path names nothing. */
function modelVerdict(request: Request): i32 {
  if (request.asked.size > 0) return decideByName(request.asked)
  return request.grpc ? Verdict.HOLD : routeTo(pathTarget)
}

/** For a call of a model, once the name is known. */
export function decideByName(asked: View): i32 {
  target.set(asked.ptr, asked.size)
  return toTarget(target) ? Verdict.ROUTE : Verdict.REFUSE_NAME
}

function routeTo(name: View): i32 {
  target.set(name.ptr, name.size)
  return Verdict.ROUTE
}
