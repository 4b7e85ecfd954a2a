// Reads the text of a table (see README.md). One block of memory holds everything of one table.
import { decimal, indexOf, isText, text, View } from './bytes'
import { fnv1a32 } from './hash'
import { isTarget } from './names'
import { Candidate, findSplit, Split, Table } from './table'

const SHARDS_DEFAULT: u32 = 256
const SHARDS_MAX: i64 = 65536
const MAX_MODELS_DEFAULT: u32 = 2000
const MAX_MODELS_MAX: i64 = 65535
const MAX_REQUEST_BYTES_DEFAULT: i64 = 104857600
const MAX_REQUEST_BYTES_MAX: i64 = u32.MAX_VALUE
const WEIGHT_MAX: i64 = 1000000

const SHARDS = text('shards')
const MAX_MODELS = text('max_models')
const MAX_REQUEST_BYTES = text('max_request_bytes')
const SPLIT = text('split')

/** The line, from 1, that made the last `parseTable` fail. */
export let badLine: i32 = 0

const field = new View()
/** The text at hand, its line's end and the place in it. */
let at: usize = 0
let lineEnd: usize = 0
/** Where the next split of the table at hand is written. */
let free: usize = 0

/** The table in this text, or null with `badLine` set. */
export function parseTable(source: View): Table | null {
  const lines = countLines(source)
  const indexSize = powerOfTwoAbove(lines * 2)
  // A split takes 20 bytes for at least 8 of text (`split a `), a candidate 12 for at least 4 (`b 1 `): at most 3 for 1.
  const block = heap.alloc(offsetof<Table>() + (indexSize << 2) + source.size + 8 + (source.size + 8) * 3)
  const table = changetype<Table>(block)
  table.shards = SHARDS_DEFAULT
  table.maxModels = MAX_MODELS_DEFAULT
  table.maxRequestBytes = MAX_REQUEST_BYTES_DEFAULT
  table.splitCount = 0
  table.indexSize = indexSize
  table.index = block + offsetof<Table>()
  memory.fill(table.index, 0, indexSize << 2)
  const copy = table.index + (indexSize << 2)
  memory.copy(copy, source.ptr, source.size)
  free = (copy + source.size + 7) & ~7
  badLine = 0
  at = copy
  const end = copy + source.size
  while (at < end) {
    badLine++
    lineEnd = at + indexOf(at, <i32>(end - at), 0x0a, 0)
    if (!parseLine(table)) {
      heap.free(block)
      return null
    }
    at = lineEnd + 1
  }
  return table
}

function countLines(source: View): i32 {
  let count = 1
  for (let i = 0; i < source.size; i++) if (load<u8>(source.ptr + i) == 0x0a) count++
  return count
}

function powerOfTwoAbove(value: i32): i32 {
  let power = 8
  while (power < value) power <<= 1
  return power
}

function parseLine(table: Table): bool {
  if (at == lineEnd) return true
  if (!nextField()) return false
  if (isText(field.ptr, field.size, SPLIT)) return parseSplit(table)
  if (isText(field.ptr, field.size, SHARDS)) return (table.shards = <u32>onlyNumber(SHARDS_MAX)) > 0
  if (isText(field.ptr, field.size, MAX_MODELS)) return (table.maxModels = <u32>onlyNumber(MAX_MODELS_MAX)) > 0
  if (isText(field.ptr, field.size, MAX_REQUEST_BYTES)) return (table.maxRequestBytes = onlyNumber(MAX_REQUEST_BYTES_MAX)) > 0
  return false
}

/** The number that ends the line, from 1 to `most`; 0 when there is none. */
function onlyNumber(most: i64): i64 {
  const value = nextNumber(most)
  return value < 1 || at < lineEnd ? 0 : value
}

function parseSplit(table: Table): bool {
  if (!nextTarget()) return false
  const hash = fnv1a32(field.ptr, field.size)
  const place = findSplit(table, field.ptr, field.size, hash)
  if (load<usize>(place) != 0) return false
  const split = changetype<Split>(free)
  free += offsetof<Split>()
  split.target = field.ptr
  split.targetSize = field.size
  split.hash = hash
  split.candidateCount = 0
  let total: u64 = 0
  while (at < lineEnd) {
    if (!nextTarget()) return false
    const candidate = changetype<Candidate>(free)
    free += offsetof<Candidate>()
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
  return true
}

function nextTarget(): bool {
  return nextField() && isTarget(field.ptr, field.size)
}

/** The next number of the line, at most `most`; -1 when there is none. */
function nextNumber(most: i64): i64 {
  if (!nextField()) return -1
  const value = decimal(field.ptr, field.size)
  return value > most ? -1 : value
}

/** The next field of the line into `field`; false when there is none, or it is empty. */
function nextField(): bool {
  const size = <i32>(lineEnd - at)
  const length = indexOf(at, size, 0x20, 0)
  field.set(at, length)
  at += length
  if (length < size) {
    at++
    if (at == lineEnd) return false
  }
  return length > 0
}
