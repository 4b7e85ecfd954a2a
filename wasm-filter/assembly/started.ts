// When each request in flight began. A fixed ring by context id: context ids only grow, so the last 4,096 requests of a worker
// are there; a request that outlived its place is timed by Envoy's own (dearer) duration. Nothing needs to be freed.

const PLACES: u32 = 4096
/** For each place: context id (u32), gRPC (u32), nanoseconds (u64). */
const ring: usize = memory.data(65536)

@inline
function placeOf(contextId: u32): usize {
  return ring + (<usize>(contextId & (PLACES - 1)) << 4)
}

@inline
export function noteStart(contextId: u32, grpc: bool, nanoseconds: u64): void {
  const place = placeOf(contextId)
  store<u32>(place, contextId)
  store<u32>(place, <u32>grpc, 4)
  store<u64>(place, nanoseconds, 8)
}

/** When it began; 0 when its place was taken by a later one. */
@inline
export function startOf(contextId: u32): u64 {
  const place = placeOf(contextId)
  return load<u32>(place) == contextId ? load<u64>(place, 8) : 0
}

/** Only after `startOf` was not 0. */
@inline
export function wasGrpc(contextId: u32): bool {
  return load<u32>(placeOf(contextId), 4) != 0
}
