import { describe, expect, it } from 'vitest'
import { type Cache, createCache } from '../../../xds/cache/cache.ts'
import { shardName } from '../../../xds/translate/names.ts'
import { shardOf } from '../../../xds/translate/shard.ts'
import { change, endpointSet, listenerOptions, route, SHARDS } from '../../support/xds-scene.ts'

const WRONG = { id: 'x', address: '127.0.0.1', restPort: 1, grpcPort: 2, health: 'healthy' } as const

const shardOfTarget = (target: string): string => shardName(shardOf(target, SHARDS))

function loaded(): Cache {
  const cache = createCache(listenerOptions())
  cache.load(change(1, { upsertEndpointSets: [endpointSet('s0')], upsertRoutes: [route('iris', 's0')] }))
  return cache
}

describe('the cache', () => {
  it('a change touches what it names and nothing else', () => {
    const cache = loaded()
    const others = [...cache.names('RDS')].filter((name) => name !== shardOfTarget('wine'))
    const before = others.map((name) => cache.get('RDS', name))
    expect(cache.update(change(2, { upsertRoutes: [route('wine', 's0')] }))).toEqual([
      { kind: 'RDS', name: shardOfTarget('wine') },
    ])
    for (const [index, name] of others.entries()) expect(cache.get('RDS', name)).toBe(before[index])
  })

  it('what is equal touches nothing', () => {
    const cache = loaded()
    const same = change(2, { upsertEndpointSets: [endpointSet('s0')], upsertRoutes: [route('iris', 's0')] })
    expect(cache.update({ ...same, splits: [] })).toEqual([])
    expect(cache.revision()).toBe(2)
  })

  it('a change of health touches endpoints alone', () => {
    const [endpoint] = endpointSet('s0').endpoints
    if (endpoint === undefined) throw new Error('the set has an endpoint')
    const ill = endpointSet('s0', { endpoints: [{ ...endpoint, health: 'unhealthy' }] })
    expect(loaded().update(change(2, { upsertEndpointSets: [ill] }))).toEqual([
      { kind: 'EDS', name: 's0/rest' },
      { kind: 'EDS', name: 's0/grpc' },
    ])
  })

  it('two caches that were told the same in different orders give every resource the same version (I9)', () => {
    const sets = ['s0', 's1'].map((id) => endpointSet(id))
    const routes = ['a', 'b', 'c', 'd', 'e'].map((name, index) => route(name, `s${String(index % 2)}`))
    const one = createCache(listenerOptions({ router: { shards: 2, maxModels: 10, maxRequestBytes: 1_000 } }))
    one.load(change(1, { upsertEndpointSets: sets, upsertRoutes: routes }))
    const two = createCache(listenerOptions({ router: { shards: 2, maxModels: 10, maxRequestBytes: 1_000 } }))
    two.load(change(9, { upsertEndpointSets: sets.toReversed(), upsertRoutes: [route('gone', 's0')] }))
    two.update(change(10, { upsertRoutes: routes.toReversed(), removeTargets: ['gone'] }))
    for (const kind of ['CDS', 'EDS', 'LDS', 'SRDS', 'RDS', 'ECDS'] as const)
      for (const name of one.names(kind)) expect(two.get(kind, name)?.version).toBe(one.get(kind, name)?.version)
  })

  it('loading again removes what is not in the state', () => {
    const cache = loaded()
    const touched = cache.load(
      change(5, { upsertEndpointSets: [endpointSet('s1')], upsertRoutes: [route('wine', 's1')] }),
    )
    expect(touched).toContainEqual({ kind: 'CDS', name: 's0/rest' })
    expect(touched).toContainEqual({ kind: 'RDS', name: shardOfTarget('iris') })
    expect(cache.route('iris')).toBeUndefined()
    expect(cache.modelCount()).toBe(1)
  })

  it.each([
    ['a route to a set that does not exist', { upsertRoutes: [route('a', 's9')] }, '"s9" does not exist'],
    ['a set that a route still names', { removeEndpointSetIds: ['s0'] }, '"s0" is still named by routes'],
    ['a reserved target', { upsertRoutes: [route('_ready', 's0')] }, '"_ready" cannot be a target'],
    ['a target that a header cannot hold', { upsertRoutes: [route('a b', 's0')] }, '"a b" cannot be a target'],
    [
      'a host name where an address belongs',
      { upsertEndpointSets: [endpointSet('s1', { endpoints: [{ ...WRONG, address: 'localhost' }] })] },
      '"localhost" must be an IP address',
    ],
    [
      'a port out of range',
      { upsertEndpointSets: [endpointSet('s1', { endpoints: [{ ...WRONG, grpcPort: 70_000 }] })] },
      '70000 must be a port',
    ],
    ['no destination', { upsertRoutes: [{ target: 'a', destinations: [], timeoutMs: 0 }] }, 'must not be empty'],
    ['the same target twice', { upsertRoutes: [route('a', 's0'), route('a', 's0')] }, 'more than once'],
    [
      'weights without any',
      { splits: [{ target: 'a', seed: 'a', candidates: [{ target: 'b', weight: 0 }] }] },
      'above 0',
    ],
    [
      'a header value that breaks the line',
      {
        upsertRoutes: [
          {
            ...route('a', 's0'),
            destinations: [{ endpointSetId: 's0', internalName: 'a\n', routeToken: '', weight: 1 }],
          },
        ],
      },
      'must be printable',
    ],
  ])('%s is refused, and changes nothing', (_what, parts, message) => {
    const cache = loaded()
    expect(() => cache.update(change(2, parts))).toThrow(message)
    expect(cache.revision()).toBe(1)
    expect(cache.modelCount()).toBe(1)
  })
})
