import { expect, test } from 'vitest'
import { Gate } from '../../../dataflow/model-client/gate.ts'

test('so many begin, so many wait in their order, the rest are refused', () => {
  const begun: number[] = []
  const gate = new Gate<number>({ concurrent: 2, queued: 2 }, (id) => void begun.push(id))
  expect([1, 2, 3, 4, 5].map((id) => gate.enter(id))).toEqual([true, true, true, true, false])
  expect(begun).toEqual([1, 2])
  gate.leave()
  expect(begun).toEqual([1, 2, 3])
  gate.leave()
  gate.leave()
  expect([begun, gate.running, gate.waiting]).toEqual([[1, 2, 3, 4], 1, 0])
})

test('who gives up waiting leaves its place to the next; who has begun cannot give up', () => {
  const begun: string[] = []
  const gate = new Gate<string>({ concurrent: 1, queued: 1 }, (id) => void begun.push(id))
  gate.enter('first')
  gate.enter('second')
  expect([gate.abandon('first'), gate.abandon('second'), gate.abandon('second')]).toEqual([false, true, false])
  gate.enter('third')
  gate.leave()
  expect(begun).toEqual(['first', 'third'])
})
