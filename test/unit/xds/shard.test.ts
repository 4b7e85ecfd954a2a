import { expect, it } from 'vitest'
import { fnv1a32, shardOf } from '../../../xds/translate/shard.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'

it.each([
  ['', 0x811c9dc5],
  ['a', 0xe40c292c],
  ['foobar', 0xbf9cf968],
])('the hash of "%s" is that of the published test vectors', (name, hash) => {
  expect(fnv1a32(name)).toBe(hash)
})

it('a shard is the hash modulo the number of shards, also where the hash has its highest bit set', () => {
  expect(shardOf('foobar', 256)).toBe(0x68)
  expect(shardOf('foobar', 1_000)).toBe(0xbf9cf968 % 1_000)
})

it('the router table lists its splits in the order of their targets', () => {
  const candidates = [
    { target: 'iris', weight: 90 },
    { target: 'wine', weight: 10 },
  ]
  const splits = ['e.z', 'e.a'].map((target) => ({ target, seed: 'ab', candidates }))
  expect(toRouterTable({ shards: 256, maxModels: 2_000, maxRequestBytes: 1_000 }, splits)).toBe(
    'shards 256\nmax_models 2000\nmax_request_bytes 1000\nsplit e.a iris 90 wine 10\nseed ab\nsplit e.z iris 90 wine 10\nseed ab\n',
  )
})
