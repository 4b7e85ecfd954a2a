import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PlacedList } from '../../../kit/placed-list.ts'

test('has what was added and neither deleted nor taken, in whatever order that happens', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'delete', 'delete again', 'takeAll'), which: fc.nat() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 50 }), (steps) => {
      const list = new PlacedList<{ place: number }>()
      const members = new Set<{ place: number }>()
      const gone: { place: number }[] = [{ place: 0 }]
      for (const { kind, which } of steps) {
        const one = [...members][which % Math.max(members.size, 1)]
        const over = gone[which % gone.length]
        if (kind === 'add') {
          const added = { place: -1 }
          members.add(added)
          list.add(added)
        } else if (kind === 'delete' && one !== undefined) {
          expect(list.delete(one)).toBe(true)
          members.delete(one)
          gone.push(one)
        } else if (kind === 'delete again' && over !== undefined) expect(list.delete(over)).toBe(false)
        else if (kind === 'takeAll') {
          expect(new Set(list.takeAll())).toEqual(members)
          gone.push(...members)
          members.clear()
        }
        expect(list.size).toBe(members.size)
        for (const member of members) expect(list.some((other) => other === member)).toBe(true)
      }
    }),
  )
})
