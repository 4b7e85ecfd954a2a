import { afterEach, describe, expect, it } from 'vitest'
import { shardOf } from '../../xds/translate/shard.ts'
import { connectFakeEnvoy, type FakeEnvoy, type FakeEnvoyOptions, targetsOf } from '../support/fake-envoy.ts'
import { change, endpointSet, route, SHARDS, startXds, type XdsScene } from '../support/xds-scene.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function start(refuse: FakeEnvoyOptions['refuse']): Promise<{ scene: XdsScene; envoy: FakeEnvoy }> {
  const scene = await startXds()
  stops.push(() => scene.stop())
  scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('s0')], upsertRoutes: [route('good', 's0')] }))
  const envoy = connectFakeEnvoy({ port: scene.port, node: 'envoy', ...(refuse ? { refuse } : {}) })
  stops.push(() => {
    envoy.close()
  })
  await scene.acked('envoy', 1)
  return { scene, envoy }
}

const refuseTarget: FakeEnvoyOptions['refuse'] = (kind, _name, body) =>
  kind === 'RDS' && targetsOf(body).includes('bad') ? 'route "bad" is malformed' : undefined

/** Names of one shard: that of `bad`. */
const neighbours = (count: number): string[] => {
  const names: string[] = []
  for (let i = 0; names.length < count; i++)
    if (shardOf(`model-${String(i)}`, SHARDS) === shardOf('bad', SHARDS)) names.push(`model-${String(i)}`)
  return names
}

describe('a refused resource', () => {
  it('one bad route of a shard is found and named; its neighbours are routed and the revision is reached', async () => {
    const { scene, envoy } = await start(refuseTarget)
    const names = neighbours(6)
    scene.xds.update(change(2, { upsertRoutes: ['bad', ...names].map((name) => route(name, 's0')) }))
    await scene.acked('envoy', 2)
    expect(envoy.targets().toSorted()).toEqual(['good', ...names].toSorted())
    expect(scene.refusals).toEqual([
      { node: 'envoy', revision: 2, kind: 'route', key: 'bad', reason: 'route "bad" is malformed' },
    ])
  })

  it('later changes of the shard are applied while the culprit stays out, and it is tried again when it changes', async () => {
    let isBad = true
    const { scene, envoy } = await start((...given) => (isBad ? refuseTarget(...given) : undefined))
    const [first = '', second = ''] = neighbours(2)
    scene.xds.update(change(2, { upsertRoutes: [route('bad', 's0'), route(first, 's0')] }))
    await scene.acked('envoy', 2)
    scene.xds.update(change(3, { upsertRoutes: [route(second, 's0')] }))
    await scene.acked('envoy', 3)
    expect(envoy.targets().toSorted()).toEqual(['good', first, second].toSorted())
    expect(scene.refusals).toHaveLength(1)
    isBad = false
    scene.xds.update(change(4, { upsertRoutes: [route('bad', 's0', 2)] }))
    await scene.acked('envoy', 4)
    expect(envoy.targets()).toContain('bad')
  })

  it('a refused new version of a route leaves its last good one in place', async () => {
    const { scene, envoy } = await start((kind, _name, body) =>
      kind === 'RDS' && Buffer.from(body).includes('good_2') ? 'no' : undefined,
    )
    scene.xds.update(change(2, { upsertRoutes: [route('good', 's0', 2)] }))
    await scene.acked('envoy', 2)
    expect(envoy.targets()).toEqual(['good'])
    expect(scene.refusals.map(({ key }) => key)).toEqual(['good'])
  })

  it('one bad shard among many: the others are applied', async () => {
    const { scene, envoy } = await start(refuseTarget)
    const names = Array.from({ length: 40 }, (_, i) => `model-${String(i)}`)
    scene.xds.update(change(2, { upsertRoutes: [...names, 'bad'].map((name) => route(name, 's0')) }))
    await scene.acked('envoy', 2)
    expect(envoy.targets().toSorted()).toEqual(['good', ...names].toSorted())
    expect(scene.refusals.map(({ key }) => key)).toEqual(['bad'])
  })

  it('a bad cluster is named by its endpoint set; routes to it stay out, all others are applied', async () => {
    const { scene, envoy } = await start((kind, name) =>
      kind === 'CDS' && name === 'broken/grpc' ? 'cluster is malformed' : undefined,
    )
    scene.xds.update(
      change(2, {
        upsertEndpointSets: [endpointSet('broken'), endpointSet('s1')],
        upsertRoutes: [route('lost', 'broken'), route('found', 's1')],
      }),
    )
    await scene.acked('envoy', 2)
    expect(scene.refusals.map(({ kind, key }) => [kind, key])).toEqual([
      ['endpointSet', 'broken'],
      ['route', 'lost'],
    ])
    expect(envoy.targets().toSorted()).toEqual(['found', 'good'])
    scene.xds.update(change(3, { upsertRoutes: [route('later', 'broken')] }))
    await scene.acked('envoy', 3)
    expect(scene.refusals.at(-1)).toMatchObject({ kind: 'route', key: 'later' })
  })

  it('a set that is accepted at last brings the routes to it along', async () => {
    let isBroken = true
    const { scene, envoy } = await start((kind, name) =>
      isBroken && kind === 'CDS' && name === 'broken/grpc' ? 'cluster is malformed' : undefined,
    )
    scene.xds.update(
      change(2, { upsertEndpointSets: [endpointSet('broken')], upsertRoutes: [route('lost', 'broken')] }),
    )
    await scene.acked('envoy', 2)
    isBroken = false
    scene.xds.update(change(3, { upsertEndpointSets: [endpointSet('broken', { nameSource: 'message' })] }))
    await scene.acked('envoy', 3)
    expect(envoy.targets().toSorted()).toEqual(['good', 'lost'])
  })

  it('a second node that refuses nothing gets everything', async () => {
    const { scene } = await start(refuseTarget)
    const other = connectFakeEnvoy({ port: scene.port, node: 'other' })
    stops.push(() => {
      other.close()
    })
    scene.xds.update(change(2, { upsertRoutes: [route('bad', 's0')] }))
    await Promise.all([scene.acked('envoy', 2), scene.acked('other', 2)])
    expect(other.targets().toSorted()).toEqual(['bad', 'good'])
  })
})
