import fc from 'fast-check'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { type Due, DueList, NOWHERE } from '../../../kit/due-list.ts'

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

/** Says when it was told. */
class One implements Due {
  duePlace = NOWHERE
  readonly dueMs: number
  readonly told: number[] = []
  constructor(dueMs: number) {
    this.dueMs = dueMs
  }
  onDue(): void {
    this.told.push(Date.now())
  }
}

test('each that is still there is told once, at its time, in whatever order they came and others went', () => {
  const entry = fc.record({ afterMs: fc.integer({ min: 0, max: 50 }), isDropped: fc.boolean() })
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
      const list = new DueList(() => Date.now())
      const beganMs = Date.now()
      const all = entries.map(({ afterMs, isDropped }) => ({ one: new One(beganMs + afterMs), isDropped }))
      for (const { one } of all) list.add(one)
      for (const { one, isDropped } of all) if (isDropped) list.delete(one)
      vi.advanceTimersByTime(60)
      for (const { one, isDropped } of all) expect(one.told).toEqual(isDropped ? [] : [one.dueMs])
    }),
  )
})

test('what is never due needs no timer, and what is dropped twice or added by another is no matter', () => {
  const list = new DueList(() => Date.now())
  const never = new One(Infinity)
  list.add(never)
  expect(vi.getTimerCount()).toBe(0)
  list.delete(never)
  list.delete(never)
  const late = new One(Date.now() + 20)
  const first = new One(Date.now() + 10)
  first.onDue = () => {
    list.add(late)
  }
  list.add(first)
  vi.advanceTimersByTime(30)
  expect(late.told).toEqual([late.dueMs])
})
