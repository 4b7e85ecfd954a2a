import { afterEach, describe, expect, it } from 'vitest'
import { type ChangeIr, SILENCE_MS } from '../../xds/index.ts'
import { connectFakeEnvoy, type FakeEnvoy, type Versions } from '../support/fake-envoy.ts'
import { change, endpointSet, route, startXds, type XdsScene } from '../support/xds-scene.ts'

const MODELS = 1_000

const stops: (() => unknown)[] = []
afterEach(async () => {
  for (const stop of stops.splice(0).toReversed()) await stop()
})

async function start(state: ChangeIr, now?: () => number): Promise<XdsScene> {
  const scene = await startXds({}, 0, now)
  stops.push(() => scene.stop())
  scene.xds.load(state)
  return scene
}

function connect(scene: XdsScene, versions?: Versions): FakeEnvoy {
  const envoy = connectFakeEnvoy({ port: scene.port, node: 'envoy', ...(versions ? { versions } : {}) })
  stops.push(() => {
    envoy.close()
  })
  return envoy
}

const models = (count: number, revision = 1): ChangeIr =>
  change(revision, {
    upsertEndpointSets: ['s0', 's1', 's2'].map((id) => endpointSet(id)),
    upsertRoutes: Array.from({ length: count }, (_, i) => route(`model-${String(i)}`, `s${String(i % 3)}`)),
  })

/** What a node has after it was given a state by a scheduler that is gone since. */
async function versionsAfter(state: ChangeIr): Promise<{ versions: Versions; bytes: number }> {
  const scene = await start(state)
  const envoy = connect(scene)
  await scene.acked('envoy', state.revision)
  return { versions: envoy.versions(), bytes: envoy.bytesReceived() }
}

describe('a node that reconnects', () => {
  it('to a restarted scheduler that changed nothing gets nothing, and is up to date', async () => {
    const { versions } = await versionsAfter(models(MODELS))
    const restarted = await start(models(MODELS, 90))
    const envoy = connect(restarted, versions)
    await restarted.acked('envoy', 90)
    expect(envoy.bytesReceived()).toBe(0)
  })

  it('after one model changed gets under 5 % of the first push', async () => {
    const { versions, bytes } = await versionsAfter(models(MODELS))
    const state = models(MODELS, 90)
    const restarted = await start({
      ...state,
      upsertRoutes: [...state.upsertRoutes.slice(1), route('model-0', 's0', 2)],
    })
    const envoy = connect(restarted, versions)
    await restarted.acked('envoy', 90)
    console.log(`first push ${String(bytes)} bytes, after a reconnect ${String(envoy.bytesReceived())}`)
    expect(envoy.events).toHaveLength(1)
    expect(envoy.bytesReceived()).toBeLessThan(bytes * 0.05)
  })

  it('is told what is gone', async () => {
    const { versions } = await versionsAfter(models(30))
    const state = models(30, 90)
    const restarted = await start({
      ...state,
      upsertEndpointSets: state.upsertEndpointSets.slice(0, 2),
      upsertRoutes: state.upsertRoutes.filter((_, i) => i % 3 !== 2),
    })
    const envoy = connect(restarted, versions)
    await restarted.acked('envoy', 90)
    expect(envoy.events.at(-1)).toEqual({ kind: 'CDS', names: [], removed: ['s2/rest', 's2/grpc'] })
  })

  it('I9: an empty state is not sent to a node that has models, until somebody says it is meant', async () => {
    const { versions } = await versionsAfter(models(3))
    const emptied = await start(change(90))
    const envoy = connect(emptied, versions)
    await emptied.until('the node held', () => emptied.node('envoy')?.heldBecause !== undefined)
    expect(emptied.node('envoy')?.heldBecause).toContain('no model at all')
    expect(envoy.events).toEqual([])
    emptied.xds.releaseHeld()
    await emptied.acked('envoy', 90)
    expect(emptied.node('envoy')?.heldBecause).toBeUndefined()
    expect(envoy.events.at(-1)?.kind).toBe('CDS')
    expect(envoy.events.at(-1)?.removed).toHaveLength(6)
  })

  it('I9: goes on by itself when all that it has is there again, not before, and counts meanwhile', async () => {
    const { versions } = await versionsAfter(models(100))
    const state = models(100, 91)
    let nowMs = 0
    const scene = await start(change(90), () => nowMs)
    const envoy = connect(scene, versions)
    await scene.until('the node held', () => scene.node('envoy')?.heldBecause !== undefined)
    scene.xds.update({ ...state, upsertRoutes: state.upsertRoutes.slice(0, 99) })
    nowMs += 2 * SILENCE_MS
    expect(scene.node('envoy')?.heldBecause).toBeDefined()
    expect(scene.node('envoy')).toMatchObject({ silentSinceMs: undefined, ackedRevision: -1 })
    expect(envoy.bytesReceived()).toBe(0)
    scene.xds.update(change(92, { upsertRoutes: [...state.upsertRoutes.slice(99), route('model-0', 's0', 2)] }))
    await scene.acked('envoy', 92)
    expect(scene.node('envoy')?.heldBecause).toBeUndefined()
    expect(envoy.events.map(({ kind, removed }) => ({ kind, removed }))).toEqual([{ kind: 'RDS', removed: [] }])
  })

  it('I9: a state without a third of its models is not sent either, one without a tenth is', async () => {
    const { versions } = await versionsAfter(models(MODELS))
    const third = await start(models((MODELS * 2) / 3, 90))
    const held = connect(third, versions)
    await third.until('the node held', () => third.node('envoy')?.heldBecause !== undefined)
    expect(third.node('envoy')?.heldBecause).toBe('334 of its 1000 models would go at once')
    expect(held.events.filter(({ kind }) => kind === 'RDS')).toEqual([])
    const tenth = await start(models(MODELS * 0.9, 90))
    connect(tenth, versions)
    await tenth.acked('envoy', 90)
  })
})
