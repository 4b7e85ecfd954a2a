import { expect, test } from 'vitest'
import { createGate } from '../../../dataflow/model-client/gate.ts'

test('so many begin, so many wait in their order, the rest are refused', () => {
  const gate = createGate({ concurrent: 2, queued: 2 })
  const begun: number[] = []
  const entries = [1, 2, 3, 4, 5].map((id) =>
    gate.enter(() => {
      begun.push(id)
    }),
  )
  expect(begun).toEqual([1, 2])
  expect(entries[4]).toBe('refused')
  gate.leave()
  expect(begun).toEqual([1, 2, 3])
  gate.leave()
  gate.leave()
  expect([begun, gate.running(), gate.waiting()]).toEqual([[1, 2, 3, 4], 1, 0])
})

test('who gives up waiting leaves its place to the next; who has begun cannot give up', () => {
  const gate = createGate({ concurrent: 1, queued: 1 })
  const begun: string[] = []
  const enter = (id: string) => gate.enter(() => void begun.push(id))
  const first = enter('first')
  const second = enter('second')
  if (first === 'refused' || second === 'refused') throw new Error('both fit')
  expect([first(), second(), second()]).toEqual([false, true, false])
  enter('third')
  gate.leave()
  expect(begun).toEqual(['first', 'third'])
})
