/** The life of a model, with agents and Envoys that speak the real protocols. */
import { describe, expect, it } from 'vitest'
import type { ModelStatus } from '../../api/resources/status.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'

const scenes = useLiveScenes()
let scene: LiveScene

const isAvailable = (status: ModelStatus): boolean => status.state === 'ModelAvailable'

describe('a new model', () => {
  it('is loaded and, with no Envoy, not yet available', async () => {
    scene = await scenes.start()
    const agent = scene.agent()
    expect(await scene.rig.admin.apply(aModelResource('iris'))).toMatchObject({ outcome: 'created' })
    const status = await scene.rig.untilModel('iris', ({ reason }) => reason?.includes('no Envoy connected') === true)
    expect(status).toMatchObject({ state: 'ModelProgressing', version: 1, server: 'embedded' })
    expect([...agent.loaded]).toEqual(['iris_1'])
  })

  it('is available when every Envoy has ACKed its route, not before (I2)', async () => {
    scene = await scenes.start()
    scene.agent()
    const quick = scene.envoy('quick')
    const slow = scene.envoy('slow')
    await scene.rig.admin.apply(aModelResource('first'))
    await scene.rig.untilModel('first', isAvailable)
    slow.withhold()
    await scene.rig.admin.apply(aModelResource('iris'))
    await quick.until('the route at the quick node', () => quick.targets().includes('iris'))
    const waiting = await scene.rig.untilModel('iris', ({ reason }) => reason?.includes('ACK') === true)
    expect(waiting).toMatchObject({ state: 'ModelProgressing', availableReplicas: 0 })
    slow.release()
    expect(await scene.rig.untilModel('iris', isAvailable)).toMatchObject({ availableReplicas: 1, servingVersion: 1 })
  })

  it('that no server can take says for each server what is missing, and is placed when one can', async () => {
    scene = await scenes.start()
    scene.agent({ capabilities: ['sklearn'] })
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    const refused = await scene.rig.untilModel('iris', ({ state }) => state === 'ScheduleFailed')
    expect(refused.placement?.servers).toMatchObject([
      { server: 'embedded', detail: expect.stringContaining('onnx') as string },
    ])
    scene.agent({ server: 'other' })
    expect(await scene.rig.untilModel('iris', isAvailable)).toMatchObject({ server: 'other' })
  })

  it('that a server cannot load is tried again by itself', async () => {
    scene = await scenes.start()
    let tries = 0
    scene.agent({ onLoad: () => ((tries += 1) < 2 ? { failed: 'disk full' } : 'loaded') })
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    const failed = await scene.rig.untilModel('iris', ({ state }) => state === 'ModelFailed')
    expect(failed.reason).toContain('disk full')
    await scene.rig.untilModel('iris', isAvailable)
    expect(tries).toBe(2)
  })

  it('whose route Envoy refuses says so in Envoy’s words and is not available', async () => {
    scene = await scenes.start()
    scene.agent()
    const envoy = scene.envoy('envoy', (kind, _name, body) =>
      kind === 'RDS' && Buffer.from(body).includes('iris') ? 'no such thing' : undefined,
    )
    await scene.rig.admin.apply(aModelResource('iris'))
    const status = await scene.rig.untilModel('iris', ({ state }) => state === 'ModelFailed')
    expect(status.reason).toContain('no such thing')
    expect(envoy.targets()).not.toContain('iris')
  })
})

describe('an update', () => {
  it('loads the new version beside the old, switches, and unloads the old after the ACK (I1, I3)', async () => {
    scene = await scenes.start()
    const agent = scene.agent()
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    envoy.withhold()
    expect(await scene.rig.admin.apply(aModelResource('iris', { storageUri: '/models/new' }))).toMatchObject({
      outcome: 'changed',
    })
    await scene.rig.untilModel('iris', ({ servingVersion }) => servingVersion === 2)
    await scene.settle()
    expect([...agent.loaded].toSorted()).toEqual(['iris_1', 'iris_2'])
    envoy.release()
    const done = await scene.rig.untilModel(
      'iris',
      ({ state, versions }) => state === 'ModelAvailable' && versions?.length === 1,
    )
    expect(done).toMatchObject({ version: 2, servingVersion: 2, availableReplicas: 1 })
    expect([...agent.loaded]).toEqual(['iris_2'])
  })

  it('that cannot be loaded leaves the old version serving (I4), and rolling back repairs it', async () => {
    scene = await scenes.start()
    const agent = scene.agent({
      onLoad: ({ storageUri }) => (storageUri === '/bad' ? { failed: 'not ONNX' } : 'loaded'),
    })
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    await scene.rig.admin.apply(aModelResource('iris', { storageUri: '/bad' }))
    const failed = await scene.rig.untilModel('iris', ({ state }) => state === 'ModelFailed')
    expect(failed).toMatchObject({ version: 2, servingVersion: 1, availableReplicas: 1 })
    expect(failed.reason).toContain('version 1 keeps serving')
    expect(envoy.targets()).toContain('iris')
    const rolledBack = await scene.rig.admin.rollback('iris', 0)
    expect(rolledBack).toEqual({ fromVersion: 2, restoredVersion: 1, newVersion: 3 })
    await scene.rig.untilModel(
      'iris',
      ({ state, servingVersion }) => state === 'ModelAvailable' && servingVersion === 3,
    )
    expect(agent.loaded.has('iris_3')).toBe(true)
  })

  it('of the replicas keeps the version', async () => {
    scene = await scenes.start()
    scene.agent()
    const second = scene.agent({ index: 1 })
    scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    await scene.rig.admin.apply(aModelResource('iris', { replicas: 2 }))
    const status = await scene.rig.untilModel('iris', ({ availableReplicas }) => availableReplicas === 2)
    expect(status.version).toBe(1)
    expect([...second.loaded]).toEqual(['iris_1'])
  })

  it('that changes nothing is told apart from one that does, and so is one that is only tried', async () => {
    scene = await scenes.start()
    const { admin } = scene.rig
    const dry = await admin.apply(aModelResource('iris'), { dryRun: true })
    expect(dry).toMatchObject({ outcome: 'created', resource: { metadata: { generation: 1 } } })
    expect(await admin.list('Model')).toEqual([])
    await admin.apply(aModelResource('iris'))
    expect(await admin.apply(aModelResource('iris'))).toMatchObject({ outcome: 'unchanged' })
    const changed = await admin.apply(aModelResource('iris', { timeoutMs: 5 }))
    expect(changed).toMatchObject({ outcome: 'changed', resource: { metadata: { generation: 2 } } })
    await expect(admin.apply(aModelResource('iris'), { expectedGeneration: 1 })).rejects.toMatchObject({
      code: 'VERSION_CONFLICT',
    })
  })
})

describe('a deletion', () => {
  it('takes the route away first, unloads then, and ends with the record gone', async () => {
    scene = await scenes.start()
    const agent = scene.agent()
    const envoy = scene.envoy()
    await scene.rig.admin.apply(aModelResource('iris'))
    await scene.rig.untilModel('iris', isAvailable)
    envoy.withhold()
    await scene.rig.admin.delete('Model', 'iris')
    await scene.rig.untilModel('iris', ({ state }) => state === 'ModelTerminating')
    await scene.settle()
    expect([...agent.loaded]).toEqual(['iris_1']) // I3: the ACK is withheld
    envoy.release()
    await scene.rig.untilGone('iris')
    expect([...agent.loaded]).toEqual([])
    expect(envoy.targets()).toEqual([])
    await expect(scene.rig.admin.get('Model', 'iris')).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' })
  })

  it('of more than a fifth of many models at once is refused unless forced (I9)', async () => {
    scene = await scenes.start()
    scene.agent()
    const envoy = scene.envoy()
    const names = Array.from({ length: 20 }, (_, index) => `m${String(index)}`)
    for (const name of names) await scene.rig.admin.apply(aModelResource(name))
    for (const name of names) await scene.rig.untilModel(name, isAvailable)
    envoy.withhold() // deletions stay under way
    for (const name of names.slice(0, 10)) await scene.rig.admin.delete('Model', name)
    await expect(scene.rig.admin.delete('Model', 'm10')).rejects.toMatchObject({ code: 'REMOVAL_REFUSED' })
    await scene.rig.admin.delete('Model', 'm10', { force: true })
    envoy.release()
    for (const name of names.slice(0, 11)) await scene.rig.untilGone(name)
  })
})
