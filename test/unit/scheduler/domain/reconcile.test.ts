import { describe, expect, test } from 'vitest'
import { refuseRoute } from '../../../../scheduler/domain/model-change.ts'
import type { ExperimentDocument } from '../../../../scheduler/domain/documents.ts'
import { anExperiment } from '../../../support/documents.ts'
import {
  createSchedulerScene,
  DRAIN_MS,
  GRACE_MS,
  NO_NODE_DRAIN_MS,
  type SchedulerScene,
} from '../../../support/scheduler-scene.ts'

function meshOf(replicas: number, fields: { readonly memoryBytes?: number } = {}): SchedulerScene {
  const scene = createSchedulerScene()
  for (let index = 0; index < replicas; index += 1) scene.addReplica(`s/${index}`, fields)
  return scene
}

const wanted = (scene: SchedulerScene) => scene.model('iris').versions.at(-1)
const down = (scene: SchedulerScene) =>
  ({ kind: 'down', sinceMs: scene.clock.nowMs, reason: 'connection refused' }) as const

describe('a model that an experiment sends requests to', () => {
  test('keeps its route and copies when it is scaled to zero, until the experiment does not name it any more (I1)', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.settle('iris')
    scene.report('s/0', 'iris_1', 'Loaded')
    scene.settle('iris')
    const candidates = [{ name: 'iris', weight: 1 }]
    const route = { resourceType: 'model' as const, candidates, sinceRevision: 0 }
    const write = (document: ExperimentDocument) =>
      scene.commit({ kind: 'experiment', name: 'e', expectedRevision: 0, document })
    write({ ...anExperiment('e', 'iris'), route })
    scene.apply({ name: 'iris', replicas: 0 })
    expect(scene.settle('iris').route).toMatchObject({ replicas: ['s/0'] })
    expect(wanted(scene)?.assigned).toEqual(['s/0'])

    const changes = write(anExperiment('e', 'iris'))
    expect(changes.flatMap((change) => [...scene.cluster.affectedModels(change)])).toEqual(['iris'])
    expect(scene.settle('iris').route).toBeUndefined()
    expect(wanted(scene)?.assigned).toEqual([])
  })
})

describe('a new model', () => {
  test('is placed, then routed once it is loaded, then Available once the route is ACKed', () => {
    const scene = meshOf(1)
    scene.envoy.acked = 0
    scene.apply({ name: 'iris' })
    expect(scene.settle('iris').versions[0]?.assigned).toEqual(['s/0'])
    expect(scene.model('iris').route).toBeUndefined()

    scene.report('s/0', 'iris_1', 'Loading')
    expect(scene.settle('iris').route).toBeUndefined()

    scene.report('s/0', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route).toMatchObject({ version: 1, replicas: ['s/0'] })
    expect(scene.model('iris').status).toMatchObject({ state: 'ModelProgressing', availableReplicas: 0 })
    expect(scene.model('iris').status.reason).toContain('ACK')

    scene.envoy.acked = scene.revision()
    expect(scene.settle('iris').status).toMatchObject({ state: 'ModelAvailable', availableReplicas: 1 })
  })

  test('is Progressing while no Envoy is connected', () => {
    const scene = meshOf(1)
    scene.envoy.acked = 'no-node'
    scene.apply({ name: 'iris' })
    expect(scene.run('iris').status).toMatchObject({
      state: 'ModelProgressing',
      reason: expect.stringContaining('no Envoy connected'),
    })
  })

  test('names the Envoy that is sent nothing, and what ends it (I9)', () => {
    const scene = meshOf(1)
    scene.envoy.acked = -1
    scene.apply({ name: 'iris' })
    scene.run('iris', { heldNodes: () => ['envoy-0'] })
    expect(scene.model('iris').status).toMatchObject({
      state: 'ModelProgressing',
      reason: expect.stringMatching(/envoy-0 is sent nothing.*--force/),
    })
  })

  test('stays Available when the only Envoy goes away', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.envoy.acked = 'no-node'
    expect(scene.step('iris').document).toBeUndefined()
    expect(scene.model('iris').status.state).toBe('ModelAvailable')
  })

  test('without a server is ScheduleFailed, says what to do, and is placed when one connects', () => {
    const scene = createSchedulerScene()
    scene.apply({ name: 'iris' })
    expect(scene.settle('iris').status).toMatchObject({
      state: 'ScheduleFailed',
      reason: expect.stringContaining('start a model server'),
    })
    expect(scene.cluster.unplaced()).toContain('iris')
    scene.addReplica('s/0')
    expect(scene.run('iris').status.state).toBe('ModelAvailable')
    expect(scene.cluster.unplaced()).not.toContain('iris')
  })

  test('reconciled again without news changes nothing', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    expect(scene.step('iris')).toEqual({ document: undefined, events: [], isWithheld: false, remove: false })
  })

  test('an artefact of unknown memory is counted by its size once it is seen', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.report('s/0', 'iris_1', 'Loaded', { artifactBytes: 100 })
    expect(scene.cluster.reservedBytes('s/0')).toBe(120)
  })
})

describe('the number of replicas', () => {
  test('scaling up adds the replica to the route when it is loaded', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.apply({ name: 'iris', replicas: 2 })
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0', 's/1'])
    expect(scene.model('iris').versions).toHaveLength(1)
  })

  test('scaling down takes a replica out of the route first and unloads it after ACK and drain time (I3)', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    scene.envoy.acked = scene.revision()
    scene.apply({ name: 'iris', replicas: 1 })
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
    scene.clock.nowMs += 10 * DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)

    scene.envoy.acked = scene.revision()
    const result = scene.step('iris')
    expect(result.wakeAtMs).toBe(scene.clock.nowMs + DRAIN_MS)
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
  })

  test('with no Envoy to ask, a copy is kept for the longer drain time', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    scene.envoy.acked = 'no-node'
    scene.apply({ name: 'iris', replicas: 1 })
    scene.settle('iris')
    scene.clock.nowMs += NO_NODE_DRAIN_MS - 1
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    scene.clock.nowMs += 1
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
  })

  test('an Envoy that comes back during the longer drain is waited for again', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    scene.envoy.acked = 'no-node'
    scene.apply({ name: 'iris', replicas: 1 })
    scene.settle('iris')
    scene.envoy.acked = 0
    scene.clock.nowMs += NO_NODE_DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
  })

  test('zero replicas is ModelScaledDown without a route, and one brings it back', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.apply({ name: 'iris', replicas: 0 })
    expect(scene.run('iris')).toMatchObject({ status: { state: 'ModelScaledDown', availableReplicas: 0 } })
    expect(scene.model('iris').route).toBeUndefined()
    expect(scene.cluster.desiredFor('s/0')).toEqual([])
    scene.apply({ name: 'iris', replicas: 1 })
    expect(scene.run('iris').status.state).toBe('ModelAvailable')
  })

  test('minReplicas makes a partial placement Available, and the rest follows when there is room', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 3, minReplicas: 2 })
    expect(scene.run('iris')).toMatchObject({
      status: { state: 'ModelAvailable', availableReplicas: 2, unavailableReplicas: 1 },
    })
    scene.addReplica('s/2')
    expect(scene.run('iris').status).toMatchObject({ availableReplicas: 3, unavailableReplicas: 0 })
  })

  test('more replicas than fit keep what serves and say ScheduleFailed', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.apply({ name: 'iris', replicas: 2 })
    expect(scene.run('iris').status).toMatchObject({ state: 'ScheduleFailed', availableReplicas: 1 })
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
  })

  test('a scale-up that only another server can hold moves there as a new version', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.addReplica('t/0')
    scene.addReplica('t/1')
    scene.apply({ name: 'iris', replicas: 2 })
    scene.settle('iris')
    expect(scene.model('iris').versions.map(({ version, server }) => [version, server])).toEqual([
      [1, 's'],
      [2, 't'],
    ])
    expect(scene.model('iris').route).toMatchObject({ version: 1 })
    expect(scene.run('iris').route).toMatchObject({ version: 2, replicas: ['t/0', 't/1'] })
    expect(scene.model('iris').versions).toHaveLength(1)
  })
})

describe('a new version', () => {
  function updating(): SchedulerScene {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    scene.apply({ name: 'iris', replicas: 2, storageUri: '/models/iris-2' })
    scene.settle('iris')
    return scene
  }

  test('takes over all at once, when it has as many replicas as the old one (I5)', () => {
    const scene = updating()
    expect(wanted(scene)?.assigned).toEqual(['s/0', 's/1'])
    scene.report('s/0', 'iris_2', 'Loaded')
    expect(scene.settle('iris').route?.version).toBe(1)
    scene.report('s/1', 'iris_2', 'Loaded')
    expect(scene.settle('iris').route).toMatchObject({ version: 2, replicas: ['s/0', 's/1'] })
  })

  test('is Available after the ACK, and only then does the old one drain and go (I2, I3)', () => {
    const scene = updating()
    scene.envoy.acked = scene.revision()
    scene.report('s/0', 'iris_2', 'Loaded')
    scene.report('s/1', 'iris_2', 'Loaded')
    scene.settle('iris')
    scene.clock.nowMs += 10 * DRAIN_MS
    scene.settle('iris')
    expect(scene.model('iris').status.state).toBe('ModelProgressing')
    expect(scene.cluster.desiredFor('s/0').map(({ version }) => version)).toEqual([1, 2])

    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    expect(scene.model('iris').status).toMatchObject({ state: 'ModelAvailable', availableReplicas: 2 })
    expect(scene.cluster.desiredFor('s/0').map(({ version }) => version)).toEqual([1, 2])
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/0').map(({ version }) => version)).toEqual([2])
    expect(scene.model('iris').versions.map(({ version }) => version)).toEqual([1, 2])
    expect(scene.run('iris').versions.map(({ version }) => version)).toEqual([2])
  })

  test('that is too big changes nothing that serves and says the numbers (I4)', () => {
    const scene = meshOf(1, { memoryBytes: 100 })
    scene.apply({ name: 'iris', memoryBytes: 50 })
    scene.run('iris')
    scene.apply({ name: 'iris', memoryBytes: 1_000 })
    const { route, status } = scene.run('iris')
    expect(route).toMatchObject({ version: 1, replicas: ['s/0'] })
    expect(status).toMatchObject({ state: 'ScheduleFailed', availableReplicas: 1 })
    expect(status.reason).toContain('s/0 has 50 bytes free (100 less 50 reserved), needs 1000')
    expect(status.reason).toContain('version 1 keeps serving')
  })

  test('needs room beside the old one: both are counted', () => {
    const scene = meshOf(1, { memoryBytes: 100 })
    scene.apply({ name: 'iris', memoryBytes: 60 })
    scene.run('iris')
    scene.apply({ name: 'iris', memoryBytes: 60, storageUri: '/models/iris-2' })
    expect(scene.settle('iris').status.state).toBe('ScheduleFailed')
  })

  test('that fails to load changes nothing that serves (I4)', () => {
    const scene = updating()
    scene.report('s/0', 'iris_2', 'LoadFailed', { reason: 'not an ONNX file' })
    scene.report('s/1', 'iris_2', 'LoadFailed', { reason: 'not an ONNX file' })
    const { route, status } = scene.settle('iris')
    expect(route).toMatchObject({ version: 1, replicas: ['s/0', 's/1'] })
    expect(status).toMatchObject({ state: 'ModelFailed', availableReplicas: 2 })
    expect(status.reason).toMatch(/not an ONNX file.*version 1 keeps serving/)
  })

  test('overtaken by a newer one before it served is dropped at once', () => {
    const scene = updating()
    scene.apply({ name: 'iris', replicas: 2, storageUri: '/models/iris-3' })
    scene.settle('iris')
    expect(scene.model('iris').versions.map(({ version }) => version)).toEqual([1, 3])
    expect(scene.run('iris').route?.version).toBe(3)
  })

  test('whose route Envoy refuses leaves the old one serving and loaded', () => {
    const scene = updating()
    scene.report('s/0', 'iris_2', 'Loaded')
    scene.report('s/1', 'iris_2', 'Loaded')
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    const document = refuseRoute(scene.model('iris'), 'no such cluster')
    scene.commit({ kind: 'model', name: 'iris', expectedRevision: 0, document })
    scene.envoy.acked = scene.revision()
    const { route, status } = scene.settle('iris')
    expect(route).toMatchObject({ version: 1, replicas: ['s/0', 's/1'] })
    expect(status).toMatchObject({ state: 'ModelFailed', reason: expect.stringContaining('no such cluster') })
    scene.clock.nowMs += 10 * DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/0').map(({ version }) => version)).toEqual([1, 2])

    scene.apply({ name: 'iris', replicas: 2, storageUri: '/models/iris-3' })
    scene.envoy.acked = Number.MAX_SAFE_INTEGER
    expect(scene.run('iris')).toMatchObject({ route: { version: 3 }, status: { state: 'ModelAvailable' } })
  })
})

describe('a deleted model', () => {
  test('leaves the route, then drains, then unloads, then its record goes', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.envoy.acked = scene.revision()
    scene.remove('iris')
    scene.settle('iris')
    expect(scene.model('iris').route).toBeUndefined()
    expect(scene.model('iris').status.state).toBe('ModelTerminating')
    expect(scene.cluster.desiredFor('s/0')).toHaveLength(1)
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/0')).toHaveLength(0)
    expect(scene.step('iris').remove).toBe(false) // the agent still holds it
    scene.report('s/0', 'iris_1', 'Unloaded')
    expect(scene.step('iris')).toMatchObject({ remove: true, document: { status: { state: 'ModelTerminated' } } })
    expect(scene.cluster.model('iris')).toBeUndefined()
  })

  test('that never got a place is gone at once', () => {
    const scene = createSchedulerScene()
    scene.apply({ name: 'iris' })
    scene.settle('iris')
    scene.remove('iris')
    expect(scene.step('iris').remove).toBe(true)
  })

  test('whose copy cannot be unloaded says so', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.remove('iris')
    scene.settle('iris')
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    scene.report('s/0', 'iris_1', 'UnloadFailed', { reason: 'timed out' })
    expect(scene.settle('iris').status).toMatchObject({
      state: 'ModelTerminateFailed',
      reason: 's/0 could not unload iris_1: timed out',
    })
  })

  test('does not wait for an agent that is lost, and the next record of its name keeps clear of its copies', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    scene.run('iris')
    scene.changeReplica('s/0', { agent: { kind: 'lost', sinceMs: scene.clock.nowMs } })
    scene.remove('iris')
    scene.settle('iris')
    scene.clock.nowMs += DRAIN_MS
    expect(scene.step('iris').remove).toBe(true)
    scene.apply({ name: 'iris' })
    expect(wanted(scene)?.version).toBe(2)
  })
})

describe('a server replica', () => {
  function serving(replicas: number, spare: number): SchedulerScene {
    const scene = meshOf(replicas + spare)
    scene.apply({ name: 'iris', replicas })
    scene.run('iris')
    return scene
  }

  test('whose server is down is replaced at once when the model has no other replica', () => {
    const scene = serving(1, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/0']) // never without a route
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route?.replicas).toEqual(['s/1'])
    expect(scene.model('iris').versions[0]?.assigned).toEqual(['s/1'])
  })

  test('whose server is down is replaced after the grace when others serve', () => {
    const scene = serving(2, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    const result = scene.step('iris')
    expect(result.document?.route).toEqual(scene.model('iris').route)
    expect(scene.model('iris').status).toMatchObject({ state: 'ModelProgressing', availableReplicas: 1 })
    expect(result.wakeAtMs).toBe(scene.clock.nowMs + GRACE_MS)
    expect(scene.cluster.desiredFor('s/2')).toHaveLength(0)
    scene.clock.nowMs += GRACE_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/2')).toHaveLength(1)
    expect(scene.run('iris').route?.replicas).toEqual(['s/1', 's/2'])
  })

  test('whose server is down changes no route: only its endpoint becomes unhealthy', () => {
    const scene = serving(2, 0)
    const { route } = scene.model('iris')
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    scene.clock.nowMs += GRACE_MS
    scene.settle('iris')
    expect(scene.model('iris').route).toEqual(route)
  })

  test('that comes back within the grace keeps its models', () => {
    const scene = serving(2, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    scene.changeReplica('s/0', { health: { kind: 'reloading' } })
    scene.settle('iris')
    scene.changeReplica('s/0', { health: { kind: 'serving' } })
    expect(scene.settle('iris')).toMatchObject({ status: { state: 'ModelAvailable', availableReplicas: 2 } })
    expect(scene.cluster.desiredFor('s/2')).toHaveLength(0)
  })

  test('that comes back before its replacement is loaded wins, and the replacement is dropped', () => {
    const scene = serving(1, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    scene.changeReplica('s/0', { health: { kind: 'serving' } })
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
  })

  test('that reloads its models is not preferred to its replacement before one of them is ready', () => {
    const scene = serving(1, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    scene.report('s/0', 'iris_1', 'Loading')
    scene.changeReplica('s/0', { health: { kind: 'reloading' } })
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    scene.report('s/1', 'iris_1', 'Loaded')
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/1'])
    expect(scene.model('iris').versions[0]?.assigned).toEqual(['s/1'])
  })

  test('whose agent is lost while its server answers is replaced after the grace, and leaves after the ACK', () => {
    const scene = serving(1, 1)
    scene.envoy.acked = scene.revision()
    scene.changeReplica('s/0', { agent: { kind: 'lost', sinceMs: scene.clock.nowMs } })
    expect(scene.step('iris').wakeAtMs).toBe(scene.clock.nowMs + GRACE_MS)
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
    expect(scene.model('iris').status.state).toBe('ModelAvailable')
    scene.clock.nowMs += GRACE_MS
    scene.settle('iris')
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0', 's/1'])
    scene.envoy.acked = scene.revision()
    expect(scene.settle('iris').route?.replicas).toEqual(['s/1'])
    expect(scene.model('iris').versions[0]?.leaving).toHaveProperty('s/0')
  })

  test('that drains hands over before it leaves', () => {
    const scene = serving(1, 1)
    scene.envoy.acked = scene.revision()
    scene.changeReplica('s/0', { draining: true })
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0', 's/1'])
    scene.envoy.acked = scene.revision()
    expect(scene.settle('iris').route?.replicas).toEqual(['s/1'])
    scene.envoy.acked = scene.revision()
    scene.run('iris')
    expect(scene.cluster.modelsOn('s/0').size).toBe(0)
  })

  test('that drains while there is no other place leaves when the others serve, after the ACK and the drain time', () => {
    const scene = serving(3, 0)
    scene.envoy.acked = scene.revision()
    scene.changeReplica('s/2', { draining: true })
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0', 's/1'])
    expect(scene.cluster.modelsOn('s/2').size).toBe(1) // I3
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    scene.clock.nowMs += DRAIN_MS
    scene.run('iris')
    expect(scene.cluster.modelsOn('s/2').size).toBe(0)
    expect(scene.model('iris').status).toMatchObject({ state: 'ScheduleFailed', availableReplicas: 2 })
  })

  test('that drains waits for the one replacement that there is, not for those that there are not', () => {
    const scene = serving(3, 1)
    scene.envoy.acked = scene.revision()
    scene.changeReplica('s/1', { draining: true })
    scene.changeReplica('s/2', { draining: true })
    expect(scene.settle('iris').versions[0]?.assigned).toContain('s/3')
    const inBetween = scene.model('iris').route?.replicas ?? []
    expect(inBetween).toHaveLength(2) // one of the draining ones carries on in place of s/3
    scene.report('s/3', 'iris_1', 'Loaded')
    scene.settle('iris')
    scene.envoy.acked = scene.revision()
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0', 's/3'])
  })

  test('that drains leaves the version that serves while a newer one fails, too (I4)', () => {
    const scene = serving(2, 0)
    scene.envoy.acked = scene.revision()
    scene.apply({ name: 'iris', replicas: 2, memoryBytes: 5_000 })
    scene.settle('iris')
    scene.changeReplica('s/1', { draining: true })
    expect(scene.settle('iris').route).toMatchObject({ version: 1, replicas: ['s/0'] })
    scene.changeReplica('s/1', { draining: false })
    expect(scene.settle('iris').versions[0]?.assigned).toEqual(['s/0', 's/1'])
  })

  test('that drains with no room elsewhere keeps serving', () => {
    const scene = serving(1, 0)
    scene.changeReplica('s/0', { draining: true })
    expect(scene.run('iris').route?.replicas).toEqual(['s/0'])
  })

  test('is not replaced while a start awaits its server, nor beyond the move budget', () => {
    const scene = serving(1, 1)
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris', { mayMove: () => false })
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
    expect(scene.model('iris').status.reason).toContain('nothing moves before the expected replicas of server s')
    const result = scene.step('iris', { moveBudget: () => false })
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(0)
    expect(result.isWithheld).toBe(true)
    expect(scene.step('iris').isWithheld).toBe(false)
    expect(scene.cluster.desiredFor('s/1')).toHaveLength(1)
    expect(scene.cluster.movesInProgress()).toBe(1)
  })

  test('lost for the version that serves while a newer one fails is replaced for it too (I4)', () => {
    const scene = serving(1, 1)
    scene.apply({ name: 'iris', memoryBytes: 5_000 })
    scene.settle('iris')
    scene.changeReplica('s/0', { health: down(scene) })
    scene.settle('iris')
    scene.report('s/1', 'iris_1', 'Loaded')
    expect(scene.settle('iris').route).toMatchObject({ version: 1, replicas: ['s/1'] })
  })

  test('of another kind takes a model whose whole server is lost, as a new version', () => {
    const scene = serving(1, 0)
    scene.addReplica('t/0', { nameSource: 'message' })
    scene.changeReplica('s/0', { health: down(scene) })
    expect(scene.run('iris').route).toMatchObject({ version: 2, replicas: ['t/0'] })
  })
})

describe('a failed load', () => {
  function failing(replicas: number): SchedulerScene {
    const scene = meshOf(replicas)
    scene.apply({ name: 'iris' })
    scene.settle('iris')
    return scene
  }
  const fail = (scene: SchedulerScene, attempt: number): void => {
    const replica = wanted(scene)?.assigned[0] ?? 's/0'
    scene.report(replica, 'iris_1', 'LoadFailed', { attempt, reason: 'broken' })
  }

  test('is tried again with growing waits, five times in all, then given up', () => {
    const scene = failing(1)
    const waits: number[] = []
    for (let attempt = 0; attempt < 4; attempt += 1) {
      fail(scene, attempt)
      const { wakeAtMs } = scene.step('iris')
      expect(scene.model('iris').status).toMatchObject({
        state: 'ModelFailed',
        reason: expect.stringContaining(`attempt ${String(attempt + 1)} of 5`),
      })
      waits.push((wakeAtMs ?? 0) - scene.clock.nowMs)
      scene.clock.nowMs = wakeAtMs ?? 0
      scene.step('iris')
      expect(scene.cluster.desiredFor('s/0')[0]?.attempt).toBe(attempt + 1)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000])
    fail(scene, 4)
    const last = scene.step('iris')
    expect(last.wakeAtMs).toBeUndefined()
    expect(last.document?.status.reason).toContain('given up after 5 attempts')
    expect(last.document?.status.retrying).toBeUndefined()
  })

  test('goes to another replica when given up, and not back to the first', () => {
    const scene = failing(2)
    const giveUp = (): void => {
      const replica = wanted(scene)?.assigned[0] ?? 's/0'
      for (let attempt = 0; attempt < 5; attempt += 1) {
        scene.report(replica, 'iris_1', 'LoadFailed', { attempt, reason: 'broken' })
        scene.settle('iris')
        scene.clock.nowMs += 60_000
        scene.settle('iris')
      }
    }
    giveUp()
    expect(wanted(scene)?.assigned).toEqual(['s/1'])
    giveUp()
    expect(wanted(scene)?.assigned).toEqual(['s/1'])
    expect(scene.model('iris').status.state).toBe('ModelFailed')
  })

  test('that cannot succeed is tried once on each replica, and again when the model is applied again', () => {
    const scene = failing(2)
    const refuse = (): void => {
      const replica = wanted(scene)?.assigned[0] ?? 's/0'
      const attempt = scene.cluster.desiredFor(replica)[0]?.attempt ?? 0
      scene.report(replica, 'iris_1', 'LoadFailed', { attempt, reason: 'outside', code: 'ARTIFACT_URI_REFUSED' })
      scene.settle('iris')
    }
    refuse()
    expect(wanted(scene)).toMatchObject({ assigned: ['s/1'], attempts: {} })
    refuse()
    for (const _ of [1, 2, 3]) {
      scene.clock.nowMs += 60_000
      expect(scene.step('iris').wakeAtMs).toBeUndefined()
    }
    expect(wanted(scene)).toMatchObject({ assigned: ['s/1'], attempts: {}, hopeless: ['s/0', 's/1'] })
    const { status } = scene.model('iris')
    expect(status).toMatchObject({ state: 'ModelFailed', reason: expect.stringContaining('not tried again') as string })
    expect(status.retrying).toBeUndefined()
    scene.apply({ name: 'iris' })
    expect(wanted(scene)).toMatchObject({ attempts: { 's/1': 1 } })
    expect(wanted(scene)?.hopeless).toBeUndefined()
  })

  test('that succeeds when tried again serves', () => {
    const scene = failing(1)
    fail(scene, 0)
    scene.settle('iris')
    scene.clock.nowMs += 1_000
    expect(scene.run('iris').status.state).toBe('ModelAvailable')
  })

  test('given up is tried once more when the model is applied again', () => {
    const scene = failing(1)
    for (let attempt = 0; attempt < 5; attempt += 1) {
      fail(scene, attempt)
      scene.settle('iris')
      scene.clock.nowMs += 60_000
      scene.settle('iris')
    }
    expect(scene.cluster.desiredFor('s/0')[0]?.attempt).toBe(4)
    scene.apply({ name: 'iris' })
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/0')[0]?.attempt).toBe(5)
  })

  test('on the only replica keeps its route, for the day it loads again', () => {
    const scene = failing(1)
    scene.run('iris')
    fail(scene, 0)
    expect(scene.settle('iris')).toMatchObject({
      route: { replicas: ['s/0'] },
      status: { state: 'ModelFailed', availableReplicas: 0 },
    })
  })

  test('on one of two replicas leaves the route to the other', () => {
    const scene = meshOf(2)
    scene.apply({ name: 'iris', replicas: 2 })
    scene.run('iris')
    scene.report('s/1', 'iris_1', 'LoadFailed', { reason: 'broken after a restart' })
    expect(scene.settle('iris').route?.replicas).toEqual(['s/0'])
    expect(scene.model('iris').status.state).toBe('ModelFailed')
  })
})

describe('events', () => {
  test('tell the life of a model', () => {
    const scene = meshOf(1)
    scene.apply({ name: 'iris' })
    const reasons: string[] = []
    reasons.push(...scene.step('iris').events.map(({ reason }) => reason))
    scene.report('s/0', 'iris_1', 'Loaded')
    reasons.push(...scene.step('iris').events.map(({ reason }) => reason))
    reasons.push(...scene.step('iris').events.map(({ reason }) => reason))
    expect(reasons).toEqual(['Placed', 'Routed', 'ModelAvailable'])
  })

  test('of a failure are warnings', () => {
    const scene = createSchedulerScene()
    scene.apply({ name: 'iris' })
    expect(scene.step('iris').events).toMatchObject([{ kind: 'warning', reason: 'ScheduleFailed' }])
  })
})
