// Reads the lines about splits: `split`, and those after it that say more about it. Texts stay where they are in the table's copy
// of its source; only what points to them is written behind it.
import { bytesEqual, isText, text } from './bytes'
import { atLineEnd, field, nextField, nextNumber } from './fields'
import { fnv1a32 } from './hash'
import { isTarget, percentDecode } from './names'
import { Candidate, candidateOf, Condition, ConditionKind, findSplit, Split, Table } from './table'

/** Enough for what is written of any line: a split, and for each two fields a candidate, for each three a condition. */
export const BYTES_PER_LINE: i32 = 48
export const BYTES_PER_SPACE: i32 = 12

const WEIGHT_MAX: i64 = 1000000
const HEADER_MAX_BYTES: i32 = 64
const VALUE_MAX_BYTES: i32 = 256
const UNDERSCORE: u8 = 0x5f

const SPLIT = text('split')
const SEED = text('seed')
const STICKY = text('sticky')
const MEASURED = text('measured')
const MIRRORED = text('mirrored')
const MATCH = text('match')
const PRESENT = text('present')
const EXACT = text('exact')
const PREFIX = text('prefix')

/** Where the next split, candidate or condition is written. */
let free: usize = 0
/** What the lines after `split` are about. */
let current: Split | null = null

export function startSplits(at: usize): void {
  free = at
  current = null
}

/** Reads the line whose first field was read; false when it is not as it should be. */
export function parseSplitLine(table: Table): bool {
  if (isText(field.ptr, field.size, SPLIT)) return parseSplit(table)
  const split = current
  if (split == null) return false
  if (isText(field.ptr, field.size, SEED)) return parseSeed(split)
  if (isText(field.ptr, field.size, STICKY)) return parseSticky(split)
  if (isText(field.ptr, field.size, MATCH)) return parseMatch(split)
  if (isText(field.ptr, field.size, MEASURED)) return !split.isMeasured && (split.isMeasured = true)
  return isText(field.ptr, field.size, MIRRORED) && !split.isMirrored && (split.isMirrored = true)
}

function parseSplit(table: Table): bool {
  if (!nextTarget()) return false
  const hash = fnv1a32(field.ptr, field.size)
  const place = findSplit(table, field.ptr, field.size, hash)
  if (load<usize>(place) != 0) return false
  const split = changetype<Split>(take(offsetof<Split>()))
  split.target = field.ptr
  split.targetSize = field.size
  split.hash = hash
  split.seed = field.ptr
  split.seedSize = field.size
  let total: u64 = 0
  while (!atLineEnd()) {
    if (!nextTarget()) return false
    const candidate = changetype<Candidate>(take(offsetof<Candidate>()))
    candidate.target = field.ptr
    candidate.targetSize = field.size
    const weight = nextNumber(WEIGHT_MAX)
    if (weight < 0) return false
    candidate.weight = <u32>weight
    total += <u64>weight
    split.candidateCount++
  }
  if (total < 1 || total > u32.MAX_VALUE) return false
  split.totalWeight = <u32>total
  store<usize>(place, changetype<usize>(split))
  table.splitCount++
  const before = current
  if (before == null) table.firstSplit = changetype<usize>(split)
  else before.next = changetype<usize>(split)
  current = split
  return true
}

function parseSeed(split: Split): bool {
  if (split.seed != split.target || !nextTarget()) return false
  split.seed = field.ptr
  split.seedSize = field.size
  return true
}

function parseSticky(split: Split): bool {
  if (split.stickySize > 0 || !nextHeader()) return false
  split.sticky = field.ptr
  split.stickySize = field.size
  return true
}

function parseMatch(split: Split): bool {
  const candidate = nextCandidate(split)
  if (candidate == null || !nextHeader()) return false
  const condition = changetype<Condition>(take(offsetof<Condition>()))
  condition.header = field.ptr
  condition.headerSize = field.size
  condition.next = candidate.conditions
  candidate.conditions = changetype<usize>(condition)
  if (!nextField()) return false
  if (isText(field.ptr, field.size, PRESENT)) return true // its kind is the one that is 0
  if (isText(field.ptr, field.size, EXACT)) condition.kind = ConditionKind.EXACT
  else if (isText(field.ptr, field.size, PREFIX)) condition.kind = ConditionKind.PREFIX
  else return false
  return nextValue(condition)
}

/** A value becomes shorter when it is decoded, so it is decoded where it stands. */
function nextValue(condition: Condition): bool {
  if (!nextField()) return false
  condition.value = field.ptr
  condition.valueSize = percentDecode(field.ptr, field.size, field.ptr, VALUE_MAX_BYTES)
  return condition.valueSize > 0
}

function nextTarget(): bool {
  return nextField() && isTarget(field.ptr, field.size)
}

/** The candidate that the next field names. */
function nextCandidate(split: Split): Candidate | null {
  if (!nextField()) return null
  for (let index = 0; index < split.candidateCount; index++) {
    const candidate = candidateOf(split, index)
    if (candidate.targetSize == field.size && bytesEqual(candidate.target, field.ptr, field.size)) return candidate
  }
  return null
}

function nextHeader(): bool {
  if (!nextField() || field.size > HEADER_MAX_BYTES) return false
  for (let at: usize = field.ptr; at < field.ptr + field.size; at++) {
    const byte = load<u8>(at)
    const known = (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte == 0x2d || byte == UNDERSCORE
    if (!known) return false
  }
  return true
}

/** Zeroed memory behind what was taken before. */
function take(bytes: usize): usize {
  const taken = free
  memory.fill(taken, 0, bytes)
  free += bytes
  return taken
}
