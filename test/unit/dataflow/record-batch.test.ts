import { produceV9, Reader, readRecordsBatch, crc32c } from '@platformatic/kafka'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { COMPRESSIONS, type OutgoingRecord } from '../../../dataflow/kafka/client.ts'
import { encodeBatch, encodeProduce } from '../../../dataflow/kafka/record-batch.ts'

const NOW_MS = 1_700_000_000_000
const bytes = fc.uint8Array({ maxLength: 300 })
const text = fc.string({ unit: 'binary', maxLength: 200 })
const record: fc.Arbitrary<OutgoingRecord> = fc.record(
  {
    topic: fc.constant('t'),
    partition: fc.constant(0),
    key: fc.oneof(text, bytes, fc.constant(null)),
    value: bytes,
    headers: fc.array(fc.tuple(text, text), { maxLength: 5 }),
    timestampMs: fc.integer({ min: 0, max: 4_000_000_000_000 }),
  },
  { requiredKeys: ['topic', 'partition', 'key', 'value', 'headers'] },
)
const batchOf = (records: readonly OutgoingRecord[], compression: (typeof COMPRESSIONS)[number] = 'none'): Buffer =>
  encodeBatch(records, { identity: { id: 77n, epoch: 3 }, sequence: 12, compression, nowMs: NOW_MS })
const toBytes = (field: OutgoingRecord['key']): Buffer | null => (field === null ? null : Buffer.from(field as string))

describe('a batch', () => {
  it('holds what was given, as another implementation reads it, in any compression', () => {
    fc.assert(
      fc.property(
        fc.array(record, { minLength: 1, maxLength: 8 }),
        fc.constantFrom(...COMPRESSIONS),
        (records, compression) => {
          const batch = batchOf(records, compression)
          const read = readRecordsBatch(Reader.from(batch))
          const firstMs = records[0]?.timestampMs ?? NOW_MS
          expect(read).toMatchObject({
            magic: 2,
            producerId: 77n,
            producerEpoch: 3,
            firstSequence: 12,
            lastOffsetDelta: records.length - 1,
            firstTimestamp: BigInt(firstMs),
            maxTimestamp: BigInt(Math.max(...records.map(({ timestampMs }) => timestampMs ?? NOW_MS))),
            length: batch.byteLength - 12,
            crc: crc32c(batch.subarray(21)),
          })
          expect(
            read.records.map(({ key, value, headers, timestampDelta, offsetDelta }) => ({
              key,
              value,
              headers: [...headers],
              timestampMs: firstMs + Number(timestampDelta),
              offsetDelta,
            })),
          ).toEqual(
            records.map(({ key, value, headers, timestampMs = NOW_MS }, index) => ({
              key: toBytes(key),
              value: Buffer.from(value),
              headers: headers.map(([name, field]) => [Buffer.from(name), Buffer.from(field)]),
              timestampMs,
              offsetDelta: index,
            })),
          )
        },
      ),
    )
  })
})

it('a request has every batch at its topic and partition, byte by byte as the library writes it', () => {
  const message = { key: Buffer.from('k'), value: Buffer.from('v'), headers: new Map(), timestamp: BigInt(NOW_MS) }
  const ofLibrary = produceV9.createRequest(
    -1,
    5_000,
    [
      { ...message, topic: 'a', partition: 0 },
      { ...message, topic: 'a', partition: 1 },
      { ...message, topic: 'ü'.repeat(100), partition: 7 },
    ],
    { producerId: 77n, producerEpoch: 3 },
  )
  const one = encodeBatch(
    [{ topic: '', partition: 0, key: 'k', value: Buffer.from('v'), headers: [], timestampMs: NOW_MS }],
    { identity: { id: 77n, epoch: 3 }, sequence: 0, compression: 'none', nowMs: 0 },
  )
  const ours = encodeProduce(
    [
      { topic: 'a', partition: 0, batch: one },
      { topic: 'a', partition: 1, batch: one },
      { topic: 'ü'.repeat(100), partition: 7, batch: one },
    ],
    5_000,
  )
  expect(ours.equals(ofLibrary.buffer)).toBe(true)
})
