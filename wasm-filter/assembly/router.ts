// The downstream filter: admits a call, names its target for the scoped routes, and counts it when it has ended.
import { BodyAction, BufferKind, HeaderMap, HeadersAction } from './abi'
import { allocate, resetArena } from './arena'
import { text, View } from './bytes'
import { choose } from './choose'
import { countRequest } from './count'
import { decide, decideByName, target, Verdict } from './decide'
import { fnv1a32 } from './hash'
import { addRequestHeader, getBytes, getHeaders, nowNanoseconds, removeRequestHeader, warn } from './host'
import { HEADER_CONTENT_LENGTH, HEADER_INTERNAL, HEADER_MIRROR, HEADER_TARGET } from './names'
import { noteCandidate, numberCandidates } from './measure'
import { forgetHeld, holdForName, NO_MESSAGE, Peek, peekedName, peekName, peekProblem, TOO_MANY } from './peek'
import { seed } from './random'
import { answerLive, GrpcStatus, refuseCall, refuseMessage, refuseName, refuseSize } from './refuse'
import { Request } from './request'
import { SeriesTable } from './series'
import { noteStart } from './started'
import { splitOf, Split, Table } from './table'
import { badLine, parseTable } from './table-parse'
import { Writer } from './writer'

/** `?`, because Envoy can print a header without what comes after it. */
const SHARD_MARK: u8 = 0x3f
const BAD_LINE = text('router table refused: cannot read line ')
const NOT_MEASURED = text('more candidates than 4,096 were measured since Envoy started: new ones are not')

const request = new Request()
const view = new View()
const digits = new Writer(256)
/** One for the VM: what is counted does not depend on a table. */
const series = new SeriesTable(false)
/**
 * Of the update that came last. Envoy gives every update a new root context while the one before still serves; both use the new
 * table, so streams need not be told apart by root, which would cost each an entry into the VM (`proxy_on_context_create`).
 */
let table: Table = parseTable(view) as Table

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_configure(rootId: u32, size: i32): i32 {
  resetArena()
  if (size > 0) getBytes(BufferKind.PLUGIN_CONFIGURATION, 0, size, view)
  else view.clear()
  const parsed = parseTable(view)
  if (parsed == null) {
    warn(digits.reset().view(BAD_LINE).decimal(badLine))
    return 0
  }
  heap.free(changetype<usize>(table))
  table = parsed
  seed(nowNanoseconds() ^ rootId)
  series.prepare(parsed.maxModels)
  if (!numberCandidates(parsed)) warn(digits.reset().view(NOT_MEASURED))
  return 1
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  getHeaders(HeaderMap.REQUEST, view)
  request.read(view)
  const verdict = decide(request, table.maxRequestBytes)
  switch (verdict) {
    case Verdict.ROUTE:
      admit(contextId)
      route(contextId, true)
      return HeadersAction.CONTINUE
    case Verdict.HOLD:
      admit(contextId)
      if (endOfStream) refuseMessage(GrpcStatus.INVALID_ARGUMENT, NO_MESSAGE)
      else if (!holdForName(contextId)) refuseMessage(GrpcStatus.RESOURCE_EXHAUSTED, TOO_MANY)
      return HeadersAction.STOP
    case Verdict.ANSWER_LIVE:
      answerLive()
      return HeadersAction.STOP
    case Verdict.REFUSE_NAME:
      refuseName(request.grpc, target)
      return HeadersAction.STOP
    case Verdict.REFUSE_SIZE:
      refuseSize(request.grpc, table.maxRequestBytes)
      return HeadersAction.STOP
    default:
      refuseCall(request.grpc, request.method, request.path)
      return HeadersAction.STOP
  }
}

/** Only calls that wait for their name look at what comes: all others are told to go on, without a call to the host. */
export function proxy_on_request_body(contextId: u32, size: i32, endOfStream: i32): i32 {
  resetArena()
  switch (peekName(contextId, size, endOfStream != 0)) {
    case Peek.NONE:
      return BodyAction.CONTINUE
    case Peek.WAIT:
      return BodyAction.STOP_AND_BUFFER
    case Peek.FAILED:
      refuseMessage(GrpcStatus.INVALID_ARGUMENT, peekProblem)
      return BodyAction.STOP
    default:
      return routeByName(contextId)
  }
}

function routeByName(contextId: u32): i32 {
  if (decideByName(peekedName) == Verdict.ROUTE) {
    route(contextId, false)
    return BodyAction.CONTINUE
  }
  refuseName(true, target)
  return BodyAction.STOP
}

/** What a client may not send goes, and the clock starts. */
function admit(contextId: u32): void {
  noteStart(contextId, request.grpc, nowNanoseconds())
  if (request.forged) removeForged()
  if (request.grpc && request.hasContentLength) removeRequestHeader(HEADER_CONTENT_LENGTH)
}

function removeForged(): void {
  removeRequestHeader(HEADER_TARGET)
  removeRequestHeader(HEADER_MIRROR)
  removeRequestHeader(HEADER_INTERNAL)
}

/**
 * Names the target. A changed request header makes Envoy (for ABI 0.2.1) forget the route and choose it again, by this one.
 * `read`: `view` holds the headers of this request.
 */
function route(contextId: u32, read: bool): void {
  let hash = fnv1a32(target.ptr, target.size)
  const split = splitOf(table, target, hash)
  if (split != null) hash = applySplit(contextId, split, read)
  digits.reset().view(target).byte(SHARD_MARK).decimal(hash % table.shards)
  addRequestHeader(HEADER_TARGET, digits.ptr, digits.size)
}

/** Replaces the target by a candidate of its split; its hash. A call that waited for its name has to fetch its headers again. */
function applySplit(contextId: u32, split: Split, read: bool): u32 {
  if (!read) getHeaders(HeaderMap.REQUEST, view)
  const candidate = choose(split, view)
  if (candidate.measured != 0) noteCandidate(contextId, candidate.measured)
  if (split.isMirrored) addRequestHeader(HEADER_MIRROR, split.target, split.targetSize)
  target.set(candidate.target, candidate.targetSize)
  return fnv1a32(target.ptr, target.size)
}

export function proxy_on_log(contextId: u32): void {
  resetArena()
  forgetHeld(contextId)
  countRequest(series, contextId)
}
