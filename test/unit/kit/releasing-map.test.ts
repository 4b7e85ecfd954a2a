import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ReleasingMap } from '../../../kit/releasing-map.ts'

test('holds what a Map would hold, in its order', () => {
  const step = fc.record({ kind: fc.constantFrom('set', 'delete'), key: fc.nat({ max: 5 }), value: fc.string() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const map = new ReleasingMap<number, string>()
      const model = new Map<number, string>()
      for (const { kind, key, value } of steps) {
        if (kind === 'delete') expect(map.delete(key)).toBe(model.delete(key))
        else {
          map.set(key, value)
          model.set(key, value)
        }
        expect(map.size).toBe(model.size)
        expect(map.get(key)).toBe(model.get(key))
        expect([...map.values()]).toEqual([...model.values()])
      }
    }),
  )
})

test('may change while its values are looked at', () => {
  const map = new ReleasingMap<string, number>()
  for (const [key, value] of [
    ['a', 1],
    ['b', 2],
    ['c', 3],
  ] as const)
    map.set(key, value)
  const seen: number[] = []
  for (const value of map.values()) {
    seen.push(value)
    map.delete('b')
    if (value === 1) map.set('d', 4)
  }
  expect(seen).toEqual([1, 3, 4])
})
