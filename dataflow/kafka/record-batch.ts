/**
 * Kafka's record batches and the request that produces them, as bytes (magic 2; Produce, version 9). The library's own way takes
 * many times as long, and a pipeline records several times for each request; so there is one pass and one place to write to.
 */
import { compressionsAlgorithms, crc32c } from '@platformatic/kafka'
import { putAscii } from '../../kit/ascii.ts'
import type { Compression, OutgoingRecord, RecordHeaders, RecordKey } from './client.ts'

/** What an idempotent producer's numbers begin with. */
export interface ProducerIdentity {
  readonly id: bigint
  readonly epoch: number
}

export interface BatchOptions {
  readonly identity: ProducerIdentity
  /** Of the first record, among those of this producer in this partition. */
  readonly sequence: number
  /** Of a batch that is large enough to gain by it. */
  readonly compression: Compression
  /** Of records without a time of their own. */
  readonly nowMs: number
}

const MAGIC = 2
/** From the base offset to the number of records. */
const HEAD_BYTES = 61
const LENGTH_AT = 8
/** The length counts from here. */
const EPOCH_AT = 12
const MAGIC_AT = 16
const CHECKSUM_AT = 17
/** The checksum is of all from here. */
const ATTRIBUTES_AT = 21

/** Smaller batches gain too little, and the broker has to read them, too. */
const COMPRESS_FROM_BYTES = 4_096
const SCRATCH_BYTES = 64 * 1024
/** More than the fields of a record take, beside its texts and its value; and more than those of a header. */
const FIELDS_BYTES = 40
const HEADER_FIELDS_BYTES = 10
/** The length of a text up to this one, zigzagged, takes one byte. */
const SHORT_LENGTH = 63

/** A batch is put together here, then copied out; a large one is handed out as it lies. */
let scratch = Buffer.allocUnsafe(SCRATCH_BYTES)
let at = 0

/** Of one partition; at least one record. */
export function encodeBatch(records: readonly OutgoingRecord[], options: BatchOptions): Buffer {
  const { identity, sequence, nowMs } = options
  const firstMs = records[0]?.timestampMs ?? nowMs
  let lastMs = firstMs
  at = HEAD_BYTES
  for (let index = 0; index < records.length; index++) {
    const record = records[index]
    if (record === undefined) continue
    const timeMs = record.timestampMs ?? nowMs
    if (timeMs > lastMs) lastMs = timeMs
    putRecord(record, index, timeMs - firstMs)
  }
  const compression = at - HEAD_BYTES < COMPRESS_FROM_BYTES ? 'none' : options.compression
  const { bitmask, compressSync } = compressionsAlgorithms[compression]
  const plain = scratch.subarray(0, at)
  const isLarge = scratch.byteLength > SCRATCH_BYTES
  if (isLarge) scratch = Buffer.allocUnsafe(SCRATCH_BYTES)
  const batch =
    compression !== 'none'
      ? Buffer.concat([plain.subarray(0, HEAD_BYTES), compressSync(plain.subarray(HEAD_BYTES))])
      : isLarge
        ? plain
        : Buffer.from(plain)
  putLong(batch, 0, 0) // the base offset
  batch.writeInt32BE(batch.byteLength - EPOCH_AT, LENGTH_AT)
  batch.writeInt32BE(0, EPOCH_AT)
  batch[MAGIC_AT] = MAGIC
  batch.writeInt16BE(bitmask, ATTRIBUTES_AT)
  batch.writeInt32BE(records.length - 1, 23)
  putLong(batch, firstMs, 27)
  putLong(batch, lastMs, 35)
  batch.writeBigInt64BE(identity.id, 43)
  batch.writeInt16BE(identity.epoch, 51)
  batch.writeInt32BE(sequence, 53)
  batch.writeInt32BE(records.length, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(ATTRIBUTES_AT)), CHECKSUM_AT)
  return batch
}

function makeRoom(bytes: number): void {
  if (at + bytes <= scratch.byteLength) return
  const larger = Buffer.allocUnsafe(Math.max(2 * scratch.byteLength, at + bytes))
  scratch.copy(larger, 0, 0, at)
  scratch = larger
}

/** As a number of 64 bits; it may be negative. */
function putLong(bytes: Buffer, value: number, place: number): void {
  bytes.writeInt32BE(Math.floor(value / 2 ** 32), place)
  bytes.writeUInt32BE(value >>> 0, place + 4)
}

/** Numbers that may be negative are written with their sign in the lowest bit. */
const zigzag = (value: number): number => (value < 0 ? -2 * value - 1 : 2 * value)

/** Bytes of `value`, zigzagged, in groups of seven bits. */
function varintSize(value: number): number {
  let size = 1
  for (let left = zigzag(value); left > 0x7f; left = Math.floor(left / 128)) size += 1
  return size
}

function putUnsigned(bytes: Buffer, start: number, value: number): number {
  let left = value
  let place = start
  for (; left > 0x7f; left = Math.floor(left / 128)) bytes[place++] = (left % 128) | 0x80
  bytes[place++] = left
  return place
}

function putVarint(value: number): void {
  at = putUnsigned(scratch, at, zigzag(value))
}

/** Its length comes first and is known last: it gets the room that it will most likely take. */
function putRecord({ key, value, headers }: OutgoingRecord, index: number, deltaMs: number): void {
  const likely = value.byteLength + textsLength(key, headers)
  makeRoom(likely + 2 * (likely - value.byteLength) + FIELDS_BYTES + HEADER_FIELDS_BYTES * headers.length)
  const start = at
  const guessed = varintSize(likely + 2 * headers.length + 8)
  at += guessed
  scratch[at++] = 0 // attributes
  putVarint(deltaMs)
  putVarint(index)
  if (typeof key === 'string') putText(key)
  else putBytes(key)
  putBytes(value)
  putVarint(headers.length)
  for (const header of headers) {
    putText(header[0])
    putText(header[1])
  }
  const size = at - start - guessed
  const needed = varintSize(size)
  if (needed !== guessed) {
    scratch.copyWithin(start + needed, start + guessed, at)
    at += needed - guessed
  }
  putUnsigned(scratch, start, zigzag(size))
}

/** In characters, each of which takes at most three bytes. */
function textsLength(key: RecordKey, headers: RecordHeaders): number {
  let length = key === null ? 0 : key.length
  for (const header of headers) length += header[0].length + header[1].length
  return length
}

function putBytes(bytes: Uint8Array | null): void {
  if (bytes === null) {
    putVarint(-1)
    return
  }
  putVarint(bytes.byteLength)
  scratch.set(bytes, at)
  at += bytes.byteLength
}

function putText(text: string): void {
  const { length } = text
  if (length <= SHORT_LENGTH && putAscii(scratch, text, at + 1)) {
    scratch[at] = zigzag(length)
    at += 1 + length
    return
  }
  putVarint(Buffer.byteLength(text))
  at += scratch.write(text, at, 'utf8')
}

export interface ProducedBatch {
  readonly topic: string
  readonly partition: number
  readonly batch: Buffer
}

export const PRODUCE = { key: 0, version: 9 } as const
const ALL_REPLICAS = -1
/** More than the fields around one batch take, beside its topic's name. */
const BATCH_FIELDS_BYTES = 32

/** The request without its header; all replicas acknowledge. At most one batch of each partition; those of a topic stand together. */
export function encodeProduce(batches: readonly ProducedBatch[], brokerTimeoutMs: number): Buffer {
  let most = 16
  let topics = 0
  for (let index = 0; index < batches.length; index++) {
    const { topic = '', batch } = batches[index] ?? {}
    most += BATCH_FIELDS_BYTES + 3 * topic.length + (batch?.byteLength ?? 0)
    if (batches[index - 1]?.topic !== topic) topics += 1
  }
  const bytes = Buffer.allocUnsafe(most)
  bytes[0] = 0 // no transaction
  let place = bytes.writeInt16BE(ALL_REPLICAS, 1)
  place = bytes.writeInt32BE(brokerTimeoutMs, place)
  place = putUnsigned(bytes, place, topics + 1)
  for (let index = 0; index < batches.length;) {
    const { topic = '' } = batches[index] ?? {}
    let end = index + 1
    while (batches[end]?.topic === topic) end += 1
    place = putUnsigned(bytes, place, Buffer.byteLength(topic) + 1)
    place += bytes.write(topic, place, 'utf8')
    place = putUnsigned(bytes, place, end - index + 1)
    for (; index < end; index++) place = putBatch(bytes, place, batches[index])
    bytes[place++] = 0 // no further fields
  }
  bytes[place++] = 0
  return bytes.subarray(0, place)
}

function putBatch(bytes: Buffer, start: number, given: ProducedBatch | undefined): number {
  if (given === undefined) return start
  const { partition, batch } = given
  let place = bytes.writeInt32BE(partition, start)
  place = putUnsigned(bytes, place, batch.byteLength + 1)
  place += batch.copy(bytes, place)
  bytes[place++] = 0 // no further fields
  return place
}
