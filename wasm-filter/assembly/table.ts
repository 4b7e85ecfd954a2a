// The configuration of `router`: one table for each root context, on the heap, gone with its root context.
// Envoy makes a new root context for every update while the old one still serves, so nothing here is global but the list.
import { bytesEqual, View } from './bytes'
import { fnv1a32 } from './hash'
import { randomBelow } from './random'

/** `split <target> ...`, as stored: this, then its candidates. */
@unmanaged
export class Split {
  target: usize
  targetSize: i32
  hash: u32
  candidateCount: i32
  totalWeight: u32
}

@unmanaged
export class Candidate {
  target: usize
  targetSize: i32
  weight: u32
}

@unmanaged
export class Table {
  next: Table | null
  rootId: u32
  shards: u32
  maxModels: u32
  splitCount: i32
  /** Power of two; addresses of splits by the hash of their target, 0 where free. */
  indexSize: i32
  index: usize
}

let tables: Table | null = null

/** The table of a root context; null before its first configuration. */
export function tableOf(rootId: u32): Table | null {
  let table = tables
  while (table != null && table.rootId != rootId) table = table.next
  return table
}

/** Adds a table that was built for its root context, in place of the one it had. */
export function addTable(table: Table): void {
  removeTables(table.rootId)
  table.next = tables
  tables = table
}

export function removeTables(rootId: u32): void {
  let previous: Table | null = null
  let table = tables
  while (table != null) {
    const next = table.next
    if (table.rootId != rootId) previous = table
    else {
      if (previous == null) tables = next
      else previous.next = next
      heap.free(changetype<usize>(table))
    }
    table = next
  }
}

/** Root contexts that have a table, one after another: give 0, then what came back; 0 at the end. */
export function nextRootId(after: u32): u32 {
  let table = tables
  if (after != 0) {
    table = tableOf(after)
    if (table != null) table = table.next
  }
  return table == null ? 0 : table.rootId
}

/** The split of a target, or the free place in the index where it would be. */
export function findSplit(table: Table, ptr: usize, size: i32, hash: u32): usize {
  const mask = table.indexSize - 1
  let at = <i32>(hash & <u32>mask)
  while (true) {
    const place = table.index + (<usize>at << 2)
    const split = changetype<Split | null>(load<usize>(place))
    if (split == null || (split.hash == hash && split.targetSize == size && bytesEqual(split.target, ptr, size))) return place
    at = (at + 1) & mask
  }
}

/** Replaces a target that has a split by one of its candidates, by weight. */
export function applySplit(table: Table, target: View): void {
  if (table.splitCount == 0) return
  const split = changetype<Split | null>(load<usize>(findSplit(table, target.ptr, target.size, fnv1a32(target.ptr, target.size))))
  if (split == null) return
  let left = randomBelow(split.totalWeight)
  let candidate = changetype<Candidate>(changetype<usize>(split) + offsetof<Split>())
  while (left >= candidate.weight) {
    left -= candidate.weight
    candidate = changetype<Candidate>(changetype<usize>(candidate) + offsetof<Candidate>())
  }
  target.set(candidate.target, candidate.targetSize)
}
