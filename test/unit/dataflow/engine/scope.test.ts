import { expect, test } from 'vitest'
import { createScope } from '../../../../dataflow/engine/scope.ts'

const LONG_MS = 60_000

/** Whether a promise has resolved once everything that is due has run. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false
  void promise.then(() => (settled = true))
  await new Promise((resolve) => setImmediate(resolve))
  return settled
}

test('who leaves begins nothing more, and has left when what ran has ended', async () => {
  const scope = createScope(new AbortController().signal)
  const [first, second] = [scope.enter(), scope.enter()]
  const left = scope.leave(LONG_MS)
  expect(scope.enter()).toBeUndefined()
  first?.leave()
  expect(await isSettled(left)).toBe(false)
  expect(scope.signal.aborted).toBe(false)
  second?.leave()
  expect(await isSettled(left)).toBe(true)
})

test('what has not ended in time is ended, and waited for all the same: nothing is under way after the hand-over', async () => {
  const scope = createScope(new AbortController().signal)
  const stay = scope.enter()
  let timesGone = 0
  if (stay !== undefined) stay.onGone = () => (timesGone += 1)
  const left = scope.leave(0)
  await new Promise((resolve) => {
    scope.signal.addEventListener('abort', resolve)
  })
  expect([stay?.isGone, timesGone]).toEqual([true, 1])
  expect(await isSettled(left)).toBe(false)
  stay?.leave()
  expect(await isSettled(left)).toBe(true)
})

test('where nothing runs leaving takes no time; nothing begins when the process stops', async () => {
  expect(await isSettled(createScope(new AbortController().signal).leave(LONG_MS))).toBe(true)
  expect(createScope(AbortSignal.abort()).enter()).toBeUndefined()
})
