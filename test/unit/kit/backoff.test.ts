import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { backoffMs, everyMs, pause } from '../../../kit/backoff.ts'

const range = { minMs: 200, maxMs: 5_000 }

describe('backoffMs', () => {
  it.each([
    [0, 100, 200],
    [1, 200, 400],
    [4, 1_600, 3_200],
    [5, 2_500, 5_000],
    [1_000, 2_500, 5_000],
  ])('attempt %d waits %d to %d ms', (attempt, low, high) => {
    expect(backoffMs(attempt, range, () => 0)).toBe(low)
    expect(backoffMs(attempt, range, () => 1)).toBe(high)
  })

  it('never leaves its bounds, however often it failed', () => {
    fc.assert(
      fc.property(fc.nat(), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, random) => {
        const ms = backoffMs(attempt, range, () => random)
        expect(ms).toBeGreaterThanOrEqual(range.minMs / 2)
        expect(ms).toBeLessThanOrEqual(range.maxMs)
      }),
    )
  })
})

describe('pause and everyMs', () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => vi.useRealTimers())

  it('returns early when the signal aborts, and at once when it already has', async () => {
    const stop = new AbortController()
    const waiting = pause(60_000, stop.signal)
    stop.abort()
    await expect(waiting).resolves.toBeUndefined()
    await expect(pause(60_000, stop.signal)).resolves.toBeUndefined()
  })

  it('runs the work until the signal aborts, and not after', async () => {
    const stop = new AbortController()
    let runs = 0
    await everyMs(0, stop.signal, () => {
      runs += 1
      if (runs === 3) stop.abort()
    })
    expect(runs).toBe(3)
    await everyMs(0, stop.signal, () => expect.unreachable())
  })

  it("fails with the work's own error", async () => {
    const work = () => Promise.reject(new Error('broken'))
    await expect(everyMs(1, new AbortController().signal, work)).rejects.toThrow('broken')
  })
})
