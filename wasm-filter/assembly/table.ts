// The configuration of `router`: one block on the heap, which holds everything that it points to.
import { bytesEqual, View } from './bytes'

/** A split, as stored: this, then its candidates. */
@unmanaged
export class Split {
  /** The next one of the text; 0: none. */
  next: usize
  target: usize
  targetSize: i32
  hash: u32
  candidateCount: i32
  totalWeight: u32
  /** The experiment's name; the target when none was given. */
  seed: usize
  seedSize: i32
  /** The header of stickiness; size 0: none. */
  sticky: usize
  stickySize: i32
  isMeasured: bool
  /** The routes of its candidates are told that a request came by it, and mirror it. */
  isMirrored: bool
}

@unmanaged
export class Candidate {
  target: usize
  targetSize: i32
  weight: u32
  /** The first `Condition`, 0 when there is none. */
  conditions: usize
  /** Under which number it is measured; 0: it is not. */
  measured: u32
}

export namespace ConditionKind {
  export const PRESENT: i32 = 0
  export const EXACT: i32 = 1
  export const PREFIX: i32 = 2
}

@unmanaged
export class Condition {
  next: usize
  kind: i32
  header: usize
  headerSize: i32
  value: usize
  valueSize: i32
}

@unmanaged
export class Table {
  shards: u32
  maxModels: u32
  /** The most that a request's `content-length` may say. */
  maxRequestBytes: i64
  splitCount: i32
  /** The first split of the text; each names the one after it. */
  firstSplit: usize
  /** Power of two; addresses of splits by the hash of their target, 0 where free. */
  indexSize: i32
  index: usize
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

@inline
export function candidateOf(split: Split, index: i32): Candidate {
  return changetype<Candidate>(changetype<usize>(split) + offsetof<Split>() + <usize>index * offsetof<Candidate>())
}

/** The split of a target; null for one that no experiment concerns. */
@inline
export function splitOf(table: Table, target: View, hash: u32): Split | null {
  if (table.splitCount == 0) return null
  return changetype<Split | null>(load<usize>(findSplit(table, target.ptr, target.size, hash)))
}
