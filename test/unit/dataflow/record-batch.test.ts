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
/** Of a batch's attributes, as the protocol numbers them. */
const COMPRESSION_BITS: Readonly<Record<string, number>> = { none: 0, lz4: 3 }
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

describe('a batch of any size', () => {
  const recordOf = (size: number, text: string): OutgoingRecord => ({
    topic: 't',
    partition: 0,
    key: text,
    value: Buffer.alloc(size, size % 251),
    headers: [[text, text]],
    timestampMs: NOW_MS,
  })
  const expectRead = (records: readonly OutgoingRecord[], batch: Buffer): void => {
    const read = readRecordsBatch(Reader.from(batch))
    expect(read.length).toBe(batch.byteLength - 12)
    expect(read.crc).toBe(crc32c(batch.subarray(21)))
    expect(read.records).toHaveLength(records.length)
    for (const [index, { key, value, headers }] of read.records.entries()) {
      const { key: text, value: given } = records[index] ?? recordOf(0, '')
      const written = Buffer.from(String(text))
      const fields = [key, ...[...headers].flat()]
      const isSame = fields.length === 3 && fields.every((field) => field?.equals(written)) && value?.equals(given)
      expect(isSame, `record ${String(index)}`).toBe(true)
    }
  }
  const sizes = [0, 1, 40, 62, 63, 64, 65, 127, 128, 8_000, 8_191, 8_192, 16_384, 65_536]

  it.each(['', 'a', 'ü'.repeat(40), 'x'.repeat(63), 'x'.repeat(64), '\u{1f600}'.repeat(50), 'a\ud800b'])(
    'holds its records whatever their lengths take, beside texts as "%.9s"',
    (text) => {
      const records = [...sizes, ...Array.from({ length: 70 }, (_, index) => index)].map((size) => recordOf(size, text))
      expectRead(records, batchOf(records))
    },
  )

  it.each(COMPRESSIONS)('is as large as it comes, with %s', (compression) => {
    const records = [recordOf(1_048_570, 'a'), recordOf(0, 'b'), recordOf(3_000_000, 'c')]
    expectRead(records, batchOf(records, compression))
  })

  it.each([
    [4_000, 'none'],
    [4_200, 'lz4'],
  ])('of %d bytes is compressed by %s', (size, expected) => {
    const { attributes } = readRecordsBatch(Reader.from(batchOf([recordOf(size, 'a')], 'lz4')))
    expect(COMPRESSION_BITS[expected]).toBe(attributes)
  })

  it('does not change when the next one is written', () => {
    const batch = batchOf([recordOf(100, 'a')])
    const large = batchOf([recordOf(200_000, 'b')])
    const [first, second] = [Buffer.from(batch), Buffer.from(large)]
    batchOf([recordOf(300_000, 'c')])
    batchOf([recordOf(90, 'd')])
    expect(batch.equals(first)).toBe(true)
    expect(large.equals(second)).toBe(true)
  })
})

it('is byte by byte what the library writes', () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.record({
          key: text,
          value: bytes,
          headers: fc.array(fc.tuple(text, text), { maxLength: 3 }),
          timestampMs: fc.integer({ min: NOW_MS - 1_000_000_000, max: NOW_MS + 1_000_000_000 }),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      (given) => {
        const messages = given.map(({ key, value, headers, timestampMs }) => ({
          topic: 't',
          partition: 0,
          key: Buffer.from(key),
          value: Buffer.from(value),
          headers: new Map(headers.map(([name, field]) => [Buffer.from(name), Buffer.from(field)])),
          timestamp: BigInt(timestampMs),
        }))
        const ofLibrary = produceV9.createRequest(-1, 5_000, messages, {
          producerId: 77n,
          producerEpoch: 3,
          firstSequence: 12,
        })
        const records = given.map((one) => ({ ...one, topic: 't', partition: 0 }))
        const batch = encodeBatch(records, {
          identity: { id: 77n, epoch: 3 },
          sequence: 0,
          compression: 'none',
          nowMs: NOW_MS,
        })
        expect(encodeProduce([{ topic: 't', partition: 0, batch }], 5_000).toString('hex')).toBe(
          ofLibrary.buffer.toString('hex'),
        )
      },
    ),
  )
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
