import fc from 'fast-check'
import { expect, it } from 'vitest'
import { HeldPartition } from '../../../../dataflow/consumer/held-partition.ts'
import type { IncomingRecord } from '../../../../dataflow/kafka/client.ts'

const LENGTH = 40
const LIMITS = { maxInFlight: 4, maxInFlightBytes: 1_500 }

const recordAt = (offset: bigint): IncomingRecord => ({
  topic: 't',
  partition: 0,
  offset,
  key: '',
  rawKey: null,
  value: Buffer.alloc(Number(offset % 5n) * 150),
  headers: [],
  timestampMs: 0,
})

it('every record is handed over once and in order within the bounds, whatever is dropped and fetched again meanwhile', () => {
  const step = fc.record({
    fetch: fc.integer({ min: 0, max: 10 }),
    done: fc.array(fc.nat(), { maxLength: 3 }),
    isFull: fc.boolean(),
    drop: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const begin = { topic: 't', topicId: 'id', partition: 0, offset: 0n }
      const held = new HeldPartition(begin, 1, LIMITS, false)
      const taken: bigint[] = []
      const open: bigint[] = []
      const play = (fetch: number, done: readonly number[], isFull: boolean, drop: boolean): void => {
        const from = held.point.offset
        if (held.wantsMore(isFull)) {
          const count = Math.min(fetch, LENGTH - Number(from))
          const records = Array.from({ length: count }, (_, index) => recordAt(from + BigInt(index)))
          held.fetched(from, records, from + BigInt(count), BigInt(LENGTH))
          held.fetched(from + 100n, records, from + 200n, BigInt(LENGTH)) // of a poll that began elsewhere
        }
        for (let record = held.take(isFull); record !== undefined; record = held.take(isFull)) {
          taken.push(record.offset)
          open.push(record.offset)
          if (open.length > 1) {
            expect(isFull).toBe(false)
            expect(held.inFlightBytes).toBeLessThanOrEqual(LIMITS.maxInFlightBytes)
          }
        }
        expect(open.length).toBeLessThanOrEqual(LIMITS.maxInFlight)
        if (drop) held.dropWaiting()
        for (const which of done)
          for (const offset of open.splice(which % Math.max(open.length, 1), 1)) expect(held.done(offset)).toBe(true)
        expect(held.inFlight).toBe(open.length)
        const toCommit = held.toCommit
        if (toCommit !== undefined && open.length > 0) expect(toCommit).toBe(open.toSorted((a, b) => Number(a - b))[0])
        if (toCommit !== undefined) held.committed(toCommit)
        expect(held.toCommit).toBeUndefined()
      }
      for (const { fetch, done, isFull, drop } of steps) play(fetch, done, isFull, drop)
      while (taken.length < LENGTH) play(10, [0], false, false)
      expect(taken).toEqual(Array.from({ length: LENGTH }, (_, index) => BigInt(index)))
      expect(held.lag).toBe(open.length === 0 ? 0 : LENGTH - Number(open.toSorted((a, b) => Number(a - b))[0]))
    }),
  )
})
