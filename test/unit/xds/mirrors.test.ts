import { expect, it } from 'vitest'
import type { RouteIr, SplitIr } from '../../../xds/index.ts'
import { type Cache, createCache } from '../../../xds/cache/cache.ts'
import { change, endpointSet, listenerOptions, route } from '../../support/xds-scene.ts'

const AB: SplitIr = {
  target: 'e.experiment',
  seed: 'e',
  candidates: [
    { target: 'a', weight: 1 },
    { target: 'b', weight: 1 },
  ],
  mirrors: [{ target: 'm', percent: 50 }],
}

const START = change(1, {
  upsertEndpointSets: [endpointSet('s0'), endpointSet('s1')],
  upsertRoutes: [route('a', 's0'), route('b', 's0'), route('m', 's1'), route('x', 's0')],
  splits: [AB],
})

function loaded(): Cache {
  const cache = createCache(listenerOptions())
  cache.load(START)
  return cache
}

/** `<split> <set> <internal name> <percent>` of what a target's route mirrors. */
const mirrorsOf = (cache: Cache, target: string): string[] =>
  (cache.route(target)?.ir.mirrors ?? []).map(
    ({ split, endpointSetId, internalName, percent }) => `${split} ${endpointSetId} ${internalName} ${String(percent)}`,
  )
const clustersOf = (cache: Cache): string[] => [...cache.names('CDS')].filter((name) => name.includes('@')).toSorted()
const both = (route: RouteIr): RouteIr => ({
  ...route,
  destinations: [
    ...route.destinations.map((one) => ({ ...one, weight: 1 })),
    { endpointSetId: 's0', internalName: 'm_2', routeToken: ':m_2:', weight: 3 },
  ],
})

it('the candidates of a split mirror, in clusters of their own; nobody else does', () => {
  const cache = loaded()
  expect(mirrorsOf(cache, 'a')).toEqual(['e.experiment s1@mirror m_1 50'])
  expect(mirrorsOf(cache, 'b')).toEqual(['e.experiment s1@mirror m_1 50'])
  expect(mirrorsOf(cache, 'm')).toEqual([])
  expect(mirrorsOf(cache, 'x')).toEqual([])
  expect(clustersOf(cache)).toEqual(['s1@mirror/grpc', 's1@mirror/rest'])
})

it('a candidate that changes goes on mirroring; one that comes back mirrors again', () => {
  const cache = loaded()
  cache.update(change(2, { upsertRoutes: [route('a', 's1', 2)] }))
  expect(mirrorsOf(cache, 'a')).toEqual(['e.experiment s1@mirror m_1 50'])
  cache.update(change(3, { removeTargets: ['a'] }))
  expect(cache.route('a')).toBeUndefined()
  cache.update(change(4, { upsertRoutes: [route('a', 's0', 3)] }))
  expect(mirrorsOf(cache, 'a')).toEqual(['e.experiment s1@mirror m_1 50'])
})

it('copies follow the mirror through its rollout, and its sets come and go with it', () => {
  const cache = loaded()
  cache.update(change(2, { upsertRoutes: [both(route('m', 's1'))] }))
  expect(mirrorsOf(cache, 'b')).toEqual(['e.experiment s1@mirror m_1 12.5', 'e.experiment s0@mirror m_2 37.5'])
  expect(clustersOf(cache)).toHaveLength(4)
  cache.update(change(3, { upsertRoutes: [route('m', 's0', 2)], removeEndpointSetIds: ['s1'] }))
  expect(mirrorsOf(cache, 'b')).toEqual(['e.experiment s0@mirror m_2 50'])
  expect(clustersOf(cache)).toEqual(['s0@mirror/grpc', 's0@mirror/rest'])
  cache.update(change(4, { removeTargets: ['m'] }))
  expect(mirrorsOf(cache, 'b')).toEqual([])
  expect(clustersOf(cache)).toEqual([])
})

it('the copies of a set have its endpoints, always', () => {
  const cache = loaded()
  const before = cache.get('EDS', 's1@mirror/rest')?.version
  const endpoints = [{ id: 's1/0', address: '127.0.0.2', restPort: 9100, grpcPort: 9101, health: 'healthy' }] as const
  const touched = cache.update(change(2, { upsertEndpointSets: [endpointSet('s1', { endpoints })] }))
  expect(touched.map(({ name }) => name)).toEqual(['s1/rest', 's1/grpc', 's1@mirror/rest', 's1@mirror/grpc'])
  expect(cache.get('EDS', 's1@mirror/rest')?.version).not.toBe(before)
})

it('a split that goes takes its mirrors along and leaves those of others', () => {
  const cache = loaded()
  const other: SplitIr = { ...AB, target: 'f.experiment', candidates: [{ target: 'a', weight: 1 }] }
  cache.update(change(2, { splits: [AB, other] }))
  expect(mirrorsOf(cache, 'a')).toHaveLength(2)
  cache.update(change(3, { splits: [other] }))
  expect(mirrorsOf(cache, 'a')).toEqual(['f.experiment s1@mirror m_1 50'])
  expect(mirrorsOf(cache, 'b')).toEqual([])
  cache.update(change(4, { splits: [] }))
  expect(clustersOf(cache)).toEqual([])
  const plain = createCache(listenerOptions())
  plain.load({ ...START, splits: [] })
  expect(cache.route('a')?.route).toEqual(plain.route('a')?.route)
})

it('a state that is loaded again, with and without the mirror, leaves nothing behind', () => {
  const cache = loaded()
  expect(cache.load({ ...START, revision: 2 })).toEqual([])
  cache.load({ ...START, revision: 3, splits: [] })
  expect(mirrorsOf(cache, 'a')).toEqual([])
  expect(clustersOf(cache)).toEqual([])
})

it('a change that is refused changes nothing of the mirrors either', () => {
  const cache = loaded()
  expect(() => cache.update(change(2, { splits: [], removeEndpointSetIds: ['s1'] }))).toThrow('still named by routes')
  expect(mirrorsOf(cache, 'a')).toHaveLength(1)
})
