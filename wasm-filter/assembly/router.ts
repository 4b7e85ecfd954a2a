// The downstream filter: admits a call, names its target for the scoped routes, and counts it when it has ended.
// It exports no body callback: a data frame costs nothing here. `peek` reads the one message that has to be read.
import { BufferKind, HeaderMap, HeadersAction } from './abi'
import { allocate, resetArena } from './arena'
import { text, View } from './bytes'
import { countRequest } from './count'
import { decide, target, Verdict } from './decide'
import { fnv1a32 } from './hash'
import { addRequestHeader, contextExists, getBytes, getHeaders, nowNanoseconds, removeRequestHeader, warn } from './host'
import { HEADER_CONTENT_LENGTH, HEADER_INTERNAL, HEADER_PROTO, HEADER_SHARD, HEADER_TARGET, PROTO_GRPC, PROTO_REST } from './names'
import { pathName } from './oip'
import { seed } from './random'
import { answerLive, refuseCall, refuseName } from './refuse'
import { Request } from './request'
import { SeriesTable } from './series'
import { noteStart } from './started'
import { addTable, applySplit, nextRootId, removeTables, Table, tableOf } from './table'
import { badLine, parseTable } from './table-parse'
import { Writer } from './writer'

const BAD_LINE = text('router table refused: cannot read line ')

const request = new Request()
const view = new View()
const digits = new Writer(256)
/** One for the VM: what is counted does not depend on a table. */
const series = new SeriesTable()
/** The stream that was created last, and its root context. Envoy creates a stream's context right before its first callback. */
let createdStream: u32 = 0
let createdRoot: u32 = 0

export function proxy_abi_version_0_2_1(): void {}

export function proxy_on_memory_allocate(size: i32): usize {
  return allocate(size)
}

export function proxy_on_context_create(contextId: u32, parentId: u32): void {
  createdStream = contextId
  createdRoot = parentId
}

export function proxy_on_configure(rootId: u32, size: i32): i32 {
  resetArena()
  forgetDeadRoots(rootId)
  if (size > 0) getBytes(BufferKind.PLUGIN_CONFIGURATION, 0, size, view)
  else view.clear()
  const table = parseTable(rootId, view)
  if (table == null) {
    warn(digits.reset().view(BAD_LINE).decimal(badLine))
    return 0
  }
  addTable(table)
  seed(nowNanoseconds())
  series.prepare(table.maxModels)
  return 1
}

/** A table goes with its root context. Asked for here and not by `proxy_on_delete`, which would cost every stream an entry. */
function forgetDeadRoots(current: u32): void {
  let rootId = nextRootId(0)
  while (rootId != 0) {
    const next = nextRootId(rootId)
    if (!contextExists(rootId)) removeTables(rootId)
    rootId = next
  }
  contextExists(current)
}

export function proxy_on_request_headers(contextId: u32, headers: i32, endOfStream: i32): i32 {
  resetArena()
  const table = tableOf(createdRoot)
  if (table == null || !getHeaders(HeaderMap.REQUEST, view)) return HeadersAction.CONTINUE
  request.read(view)
  switch (decide(request)) {
    case Verdict.ROUTE:
      route(table, contextId)
      return HeadersAction.CONTINUE
    case Verdict.ANSWER_LIVE:
      answerLive()
      return HeadersAction.STOP
    case Verdict.REFUSE_NAME:
      refuseName(request.grpc, request.asked.size > 0 ? request.asked : pathName)
      return HeadersAction.STOP
    default:
      refuseCall(request.grpc, request.method, request.path)
      return HeadersAction.STOP
  }
}

/** Changing a request header makes Envoy (for ABI 0.2.1) forget the route, so that it is chosen again by these headers. */
function route(table: Table, contextId: u32): void {
  noteStart(contextId, request.grpc, nowNanoseconds())
  applySplit(table, target)
  if (request.forged) removeForged()
  if (request.grpc && request.hasContentLength) removeRequestHeader(HEADER_CONTENT_LENGTH)
  const proto = request.grpc ? PROTO_GRPC : PROTO_REST
  digits.reset().decimal(fnv1a32(target.ptr, target.size) % table.shards)
  addRequestHeader(HEADER_TARGET, target.ptr, target.size)
  addRequestHeader(HEADER_PROTO, proto.ptr, proto.size)
  addRequestHeader(HEADER_SHARD, digits.ptr, digits.size)
}

function removeForged(): void {
  removeRequestHeader(HEADER_TARGET)
  removeRequestHeader(HEADER_PROTO)
  removeRequestHeader(HEADER_SHARD)
  removeRequestHeader(HEADER_INTERNAL)
}

export function proxy_on_log(contextId: u32): void {
  resetArena()
  countRequest(series, contextId)
}
