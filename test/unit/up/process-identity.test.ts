import { expect, test } from 'vitest'
import { formatIdentity, identityOf, isRunning, parseIdentity } from '../../../up/process-identity.ts'

test('this process runs, and is itself after writing and reading', () => {
  const me = identityOf(process.pid)
  if (me === undefined) throw new Error('this process has no identity')
  expect(isRunning(me)).toBe(true)
  expect(parseIdentity(formatIdentity(me))).toEqual(me)
})

test('the same pid with another start time is another process', () => {
  expect(isRunning({ pid: process.pid, startedAt: 'long ago' })).toBe(false)
})

test('a file that is no identity is none', () => {
  for (const text of ['', 'x', '12', '12 ']) expect(parseIdentity(text)).toBeUndefined()
})
