import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { atMost, within } from '../../../kit/deadline.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

const never = new Promise<never>(() => undefined)
const late = (): Error => new Error('late')

describe('within a time', () => {
  it('what comes is given, and what fails fails, with no timer left', async () => {
    expect(await within(1_000, Promise.resolve(7), late)).toBe(7)
    await expect(within(1_000, Promise.reject(new Error('broken')), late)).rejects.toThrow('broken')
    expect(vi.getTimerCount()).toBe(0)
  })

  it('what does not come is an error, and may fail afterwards', async () => {
    let fail = (_error: Error): void => undefined
    const work = new Promise<never>((_, reject) => {
      fail = reject
    })
    const waiting = within(1_000, work, late)
    const refused = expect(waiting).rejects.toThrow('late')
    await vi.advanceTimersByTimeAsync(1_000)
    await refused
    fail(new Error('nobody hears this'))
  })
})

describe('at most a time', () => {
  it('is waited for work that ends, or does not; its failure is told', async () => {
    await atMost(1_000, Promise.resolve())
    await expect(atMost(1_000, Promise.reject(new Error('broken')))).rejects.toThrow('broken')
    expect(vi.getTimerCount()).toBe(0)
    const waiting = atMost(1_000, never)
    await vi.advanceTimersByTimeAsync(1_000)
    await waiting
  })
})
