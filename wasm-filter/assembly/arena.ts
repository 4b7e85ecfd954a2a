// Where the host puts what it returns. One block, taken from the front and given back whole when the next callback starts;
// what does not fit (a large header map, a table) goes to the heap until then.
// The filters' own state never lives here.

const BLOCK_BYTES: i32 = 65536
const block: usize = memory.data(65536)
let used: i32 = 0
/** Heap blocks of this callback; each begins with the address of the one before it. */
let overflow: usize = 0

/** Call first in every callback: what the host returned before is gone. */
export function resetArena(): void {
  used = 0
  while (overflow != 0) {
    const previous = load<usize>(overflow)
    heap.free(overflow)
    overflow = previous
  }
}

export function allocate(size: i32): usize {
  const aligned = (size + 7) & ~7
  if (aligned <= BLOCK_BYTES - used) {
    const at = block + used
    used += aligned
    return at
  }
  const fresh = heap.alloc(aligned + 8)
  store<usize>(fresh, overflow)
  overflow = fresh
  return fresh + 8
}
