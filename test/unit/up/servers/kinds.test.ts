import { expect, test } from 'vitest'
import { parseServers } from '../../../../up/servers/kinds.ts'

test('replicas are given by kind, each once', () => {
  expect([...parseServers('embedded=2,mlserver=1')]).toEqual([
    ['embedded', 2],
    ['mlserver', 1],
  ])
  expect([...parseServers('mlserver=0')]).toEqual([['mlserver', 0]])
})

test.each([
  ['triton=1', '"triton" is none of embedded, mlserver'],
  ['embedded', 'embedded has "" replicas, not a number from 0 to 10'],
  ['embedded=11', 'embedded has "11" replicas'],
  ['embedded=-1', 'embedded has "-1" replicas'],
  ['embedded=2,embedded=3', 'embedded is named twice'],
  ['embedded=2,', '"" is none of'],
])('%s is refused, naming what is wrong', (text, problem) => {
  expect(() => parseServers(text)).toThrow(problem)
})
