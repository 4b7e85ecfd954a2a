import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { OffsetTracker } from '../../../../dataflow/consumer/offset-tracker.ts'

describe('offsets of a partition', () => {
  it('are committable up to the first record that is not done, in whatever order they are done, and never go back', () => {
    const step = fc.record({ gap: fc.integer({ min: 0, max: 3 }), done: fc.array(fc.nat(), { maxLength: 3 }) })
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 1_000n }), fc.array(step), (from, steps) => {
        const tracker = new OffsetTracker(from)
        const open: bigint[] = []
        let next = from
        let committed = from
        for (const { gap, done } of steps) {
          next += BigInt(gap) // offsets of marks, or of what was compacted away
          tracker.take(next, 10)
          open.push(next)
          next += 1n
          for (const which of done) {
            const [offset] = open.splice(which % Math.max(open.length, 1), 1)
            if (offset === undefined) continue
            expect(tracker.done(offset)).toBe(true)
            expect(tracker.done(offset)).toBe(false)
          }
          expect(tracker.committable).toBe(open[0] ?? next)
          expect(tracker.committable).toBeGreaterThanOrEqual(committed)
          expect([tracker.inFlight, tracker.bytes]).toEqual([open.length, open.length * 10])
          committed = tracker.committable
        }
      }),
    )
  })

  it('go on behind what holds no records', () => {
    const tracker = new OffsetTracker(5n)
    tracker.skipTo(9n)
    expect(tracker.committable).toBe(9n)
    tracker.take(9n, 1)
    tracker.skipTo(12n)
    expect(tracker.committable).toBe(9n)
    tracker.done(9n)
    expect(tracker.committable).toBe(12n)
  })
})
