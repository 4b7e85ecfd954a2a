// Reads the text of a table (see README.md). One block of memory holds everything of one table.
import { isText, text, View } from './bytes'
import { atLineEnd, field, nextField, nextLine, nextNumber, startText } from './fields'
import { BYTES_PER_LINE, BYTES_PER_SPACE, parseSplitLine, startSplits } from './split-parse'
import { Table } from './table'

const SHARDS_DEFAULT: u32 = 256
const SHARDS_MAX: i64 = 65536
const MAX_MODELS_DEFAULT: u32 = 2000
const MAX_MODELS_MAX: i64 = 65535
const MAX_REQUEST_BYTES_DEFAULT: i64 = 104857600
const MAX_REQUEST_BYTES_MAX: i64 = u32.MAX_VALUE

const SHARDS = text('shards')
const MAX_MODELS = text('max_models')
const MAX_REQUEST_BYTES = text('max_request_bytes')

/** The line, from 1, that made the last `parseTable` fail. */
export let badLine: i32 = 0

/** The table in this text, or null with `badLine` set. */
export function parseTable(source: View): Table | null {
  const lines = 1 + count(source, 0x0a)
  const indexSize = powerOfTwoAbove(lines * 2)
  const splitBytes = lines * BYTES_PER_LINE + count(source, 0x20) * BYTES_PER_SPACE
  const block = heap.alloc(offsetof<Table>() + (indexSize << 2) + source.size + 8 + splitBytes)
  const table = changetype<Table>(block)
  table.shards = SHARDS_DEFAULT
  table.maxModels = MAX_MODELS_DEFAULT
  table.maxRequestBytes = MAX_REQUEST_BYTES_DEFAULT
  table.splitCount = 0
  table.firstSplit = 0
  table.indexSize = indexSize
  table.index = block + offsetof<Table>()
  memory.fill(table.index, 0, indexSize << 2)
  const copy = table.index + (indexSize << 2)
  memory.copy(copy, source.ptr, source.size)
  startSplits((copy + source.size + 7) & ~7)
  startText(copy, source.size)
  badLine = 0
  while (nextLine()) {
    badLine++
    if (!parseLine(table)) {
      heap.free(block)
      return null
    }
  }
  return table
}

function count(source: View, byte: u8): i32 {
  let found = 0
  for (let i = 0; i < source.size; i++) if (load<u8>(source.ptr + i) == byte) found++
  return found
}

function powerOfTwoAbove(value: i32): i32 {
  let power = 8
  while (power < value) power <<= 1
  return power
}

function parseLine(table: Table): bool {
  if (atLineEnd()) return true
  if (!nextField()) return false
  if (isText(field.ptr, field.size, SHARDS)) return (table.shards = <u32>onlyNumber(SHARDS_MAX)) > 0
  if (isText(field.ptr, field.size, MAX_MODELS)) return (table.maxModels = <u32>onlyNumber(MAX_MODELS_MAX)) > 0
  if (isText(field.ptr, field.size, MAX_REQUEST_BYTES)) return (table.maxRequestBytes = onlyNumber(MAX_REQUEST_BYTES_MAX)) > 0
  return parseSplitLine(table) && atLineEnd()
}

/** The number that ends the line, from 1 to `most`; 0 when there is none. */
function onlyNumber(most: i64): i64 {
  const value = nextNumber(most)
  return value < 1 || !atLineEnd() ? 0 : value
}
