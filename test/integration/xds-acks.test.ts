import { afterEach, describe, expect, it } from 'vitest'
import { SILENCE_MS } from '../../xds/index.ts'
import { shardName } from '../../xds/translate/names.ts'
import { shardOf } from '../../xds/translate/shard.ts'
import { connectFakeEnvoy, type FakeEnvoy, type FakeEnvoyOptions } from '../support/fake-envoy.ts'
import { change, endpointSet, route, SHARDS, startXds, type XdsScene } from '../support/xds-scene.ts'

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function start(now?: () => number): Promise<XdsScene> {
  const scene = await startXds({}, 0, now)
  stops.push(() => scene.stop())
  return scene
}

function connect(scene: XdsScene, node = 'envoy-1', options: Partial<FakeEnvoyOptions> = {}): FakeEnvoy {
  const envoy = connectFakeEnvoy({ port: scene.port, node, ...options })
  stops.push(() => {
    envoy.close()
  })
  return envoy
}

const shardOfTarget = (target: string): string => shardName(shardOf(target, SHARDS))

describe('ACKs', () => {
  it('nothing is sent before the state was loaded, and everything after', async () => {
    const scene = await start()
    const envoy = connect(scene)
    await scene.until('the node', () => scene.node('envoy-1') !== undefined)
    expect(scene.node('envoy-1')?.ackedRevision).toBe(-1)
    expect(envoy.events).toEqual([])
    scene.xds.load(change(7, { upsertEndpointSets: [endpointSet('s0')], upsertRoutes: [route('iris', 's0')] }))
    await scene.acked('envoy-1', 7)
    expect(envoy.targets()).toEqual(['iris'])
    expect(envoy.has('EDS', 's0/grpc')).toBe(true)
  })

  it('an empty state gives every shard, every scope, the listener and an empty router table', async () => {
    const scene = await start()
    scene.xds.load(change(1))
    const envoy = connect(scene)
    await scene.acked('envoy-1', 1)
    const versions = envoy.versions()
    expect(Object.keys(versions.RDS)).toHaveLength(SHARDS)
    expect(Object.keys(versions.SRDS)).toHaveLength(SHARDS)
    expect(Object.keys(versions.LDS)).toEqual(['ingress'])
    expect(Object.keys(versions.ECDS)).toEqual(['router'])
    expect(envoy.events[0]).toEqual({ kind: 'CDS', names: [], removed: [] })
  })

  it('one change is one shard on the wire, and is ACKed', async () => {
    const scene = await start()
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('s0')], upsertRoutes: [route('iris', 's0')] }))
    const envoy = connect(scene)
    await scene.acked('envoy-1', 1)
    const before = envoy.events.length
    scene.xds.update(change(2, { upsertRoutes: [route('iris', 's0', 2)] }))
    await scene.acked('envoy-1', 2)
    expect(envoy.events.slice(before)).toEqual([{ kind: 'RDS', names: [shardOfTarget('iris')], removed: [] }])
  })

  it('I1: clusters and endpoints are ACKed before routes name them, and go after the routes went', async () => {
    const scene = await start()
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('old')], upsertRoutes: [route('iris', 'old')] }))
    const envoy = connect(scene)
    await scene.acked('envoy-1', 1)
    const before = envoy.events.length
    scene.xds.update(
      change(2, {
        upsertEndpointSets: [endpointSet('new')],
        upsertRoutes: [route('iris', 'new', 2)],
        removeEndpointSetIds: ['old'],
      }),
    )
    await scene.acked('envoy-1', 2)
    expect(envoy.events.slice(before)).toEqual([
      { kind: 'CDS', names: ['new/rest', 'new/grpc'], removed: [] },
      { kind: 'EDS', names: ['new/rest', 'new/grpc'], removed: [] },
      { kind: 'RDS', names: [shardOfTarget('iris')], removed: [] },
      { kind: 'CDS', names: [], removed: ['old/rest', 'old/grpc'] },
    ])
  })

  it('a changed cluster gets its endpoints again, unchanged as they are', async () => {
    const scene = await start()
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('s0')] }))
    const envoy = connect(scene)
    await scene.acked('envoy-1', 1)
    const before = envoy.events.length
    scene.xds.update(change(2, { upsertEndpointSets: [endpointSet('s0', { nameSource: 'message' })] }))
    await scene.acked('envoy-1', 2)
    expect(envoy.events.slice(before).map(({ kind }) => kind)).toEqual(['CDS', 'EDS'])
  })

  it('while a node withholds its ACK its revision stays, no removal reaches it, and changes are coalesced', async () => {
    const scene = await start()
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('old')], upsertRoutes: [route('iris', 'old')] }))
    const slow = connect(scene, 'slow')
    connect(scene, 'quick')
    await Promise.all([scene.acked('slow', 1), scene.acked('quick', 1)])
    slow.withhold()
    const before = slow.events.length
    scene.xds.update(change(2, { upsertEndpointSets: [endpointSet('new')], upsertRoutes: [route('iris', 'new', 2)] }))
    scene.xds.update(change(3, { removeEndpointSetIds: ['old'] }))
    for (let revision = 4; revision <= 20; revision++)
      scene.xds.update(change(revision, { upsertRoutes: [route('iris', 'new', revision)] }))
    await scene.acked('quick', 20)
    expect(scene.node('slow')?.ackedRevision).toBe(1)
    expect(slow.has('CDS', 'old/rest')).toBe(true)
    slow.release()
    await scene.acked('slow', 20)
    const kinds = slow.events.slice(before).map(({ kind, removed }) => (removed.length > 0 ? `-${kind}` : kind))
    expect(kinds).toEqual(['CDS', 'EDS', 'RDS', '-CDS'])
  })

  it('a node whose stream closed is no longer among the nodes', async () => {
    const scene = await start()
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('s0')] }))
    const nodes = ['a', 'b', 'c'].map((id) => connect(scene, id))
    await Promise.all(['a', 'b', 'c'].map((id) => scene.acked(id, 1)))
    nodes[1]?.close()
    await scene.until('b gone', () => scene.node('b') === undefined)
    expect(scene.xds.nodes().map(({ node }) => node)).toEqual(['a', 'c'])
  })

  it('of three nodes the one that is silent for 5 s is reported as silent', async () => {
    let nowMs = 0
    const scene = await start(() => nowMs)
    scene.xds.load(change(1, { upsertEndpointSets: [endpointSet('s0')] }))
    const nodes = ['a', 'b', 'c'].map((id) => connect(scene, id))
    await Promise.all(['a', 'b', 'c'].map((id) => scene.acked(id, 1)))
    nodes[2]?.withhold()
    scene.xds.update(change(2, { upsertRoutes: [route('iris', 's0')] }))
    await Promise.all([scene.acked('a', 2), scene.acked('b', 2)])
    nowMs = SILENCE_MS - 1
    expect(scene.node('c')?.silentSinceMs).toBeUndefined()
    nowMs = SILENCE_MS
    await scene.until('c silent', () => scene.node('c')?.silentSinceMs !== undefined)
    expect(scene.node('a')?.silentSinceMs).toBeUndefined()
    nodes[2]?.release()
    await scene.acked('c', 2)
    expect(scene.node('c')?.silentSinceMs).toBeUndefined()
  })
})
