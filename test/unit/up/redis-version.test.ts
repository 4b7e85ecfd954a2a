import { expect, test } from 'vitest'
import { isAtLeast, isUsableRedis, MINIMUM_REDIS, parseRedisVersion } from '../../../up/tools/redis.ts'

test.each([
  ['Redis server v=6.2.14 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64 build=7d0f', [6, 2, 14]],
  ['Redis server v=7.0.15 sha=00000000:0', [7, 0, 15]],
  ['Valkey server v=8.1.0 sha=00000000:0', [8, 1, 0]],
  ['something else', undefined],
])('the version of "%s"', (text, version) => {
  expect(parseRedisVersion(text)).toEqual(version)
})

test.each([
  [[6, 2, 0], true],
  [[6, 2, 14], true],
  [[7, 0, 0], true],
  [[10, 0, 0], true],
  [[6, 1, 99], false],
  [[5, 9, 9], false],
] as const)('%j is new enough: %s', (version, enough) => {
  expect(isAtLeast(version, MINIMUM_REDIS)).toBe(enough)
})

test('a redis-server that is missing, old or broken is not used', () => {
  const exited = (status: number, output: string) => ({ kind: 'exited', status, output }) as const
  expect(isUsableRedis({ kind: 'notFound' })).toBe(false)
  expect(isUsableRedis(exited(0, 'Redis server v=5.0.7 sha=0'))).toBe(false)
  expect(isUsableRedis(exited(127, 'Redis server v=7.0.0'))).toBe(false)
  expect(isUsableRedis(exited(0, 'Redis server v=7.0.0 sha=0'))).toBe(true)
})
