import { describe, expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import { desiredChanges } from '../../../../scheduler/domain/desired.ts'
import type { ModelDocument } from '../../../../scheduler/domain/documents.ts'
import { toReplicaStatuses } from '../../../../scheduler/domain/replica-state.ts'
import { toServerStatus } from '../../../../scheduler/domain/server-status.ts'
import { createSchedulerScene, DRAIN_MS, type SchedulerScene } from '../../../support/scheduler-scene.ts'

function serving(): SchedulerScene {
  const scene = createSchedulerScene()
  scene.addReplica('s/0')
  scene.addReplica('s/1')
  scene.apply({ name: 'iris', replicas: 2, memoryBytes: 100 })
  scene.run('iris')
  return scene
}

describe('the cluster state', () => {
  test('reserves memory from the moment a copy is desired until its agent has unloaded it', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', memoryBytes: 100 })
    expect(scene.cluster.reservedBytes('s/0')).toBe(0)
    scene.settle('iris')
    expect(scene.cluster.reservedBytes('s/0')).toBe(100)
    scene.run('iris')
    scene.remove('iris')
    scene.settle('iris')
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    expect(scene.cluster.desiredFor('s/0')).toEqual([])
    expect(scene.cluster.reservedBytes('s/0')).toBe(100)
    scene.report('s/0', 'iris_1', 'Unloaded')
    expect(scene.cluster.reservedBytes('s/0')).toBe(0)
  })

  test('returns the memory of a model deleted while it loads', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', memoryBytes: 100 })
    scene.settle('iris')
    scene.report('s/0', 'iris_1', 'Loading')
    scene.remove('iris')
    scene.run('iris')
    expect(scene.cluster.reservedBytes('s/0')).toBe(0)
  })

  test('built from a snapshot equals the one that followed every change', () => {
    const scene = serving()
    const rebuilt = createClusterState({
      models: [...scene.cluster.models()],
      servers: [],
      pipelines: [],
      experiments: [],
      gateways: [],
      replicas: [...scene.cluster.replicas()],
      observed: [...scene.cluster.replicas()].flatMap(({ key }) =>
        [...scene.cluster.observedOn(key).values()].map((document) => ({ replica: key, document })),
      ),
    })
    for (const key of ['s/0', 's/1'] as const) {
      expect(rebuilt.desiredFor(key)).toEqual(scene.cluster.desiredFor(key))
      expect(rebuilt.reservedBytes(key)).toBe(100)
      expect(rebuilt.modelsOn(key)).toEqual(new Set(['iris']))
    }
    expect(rebuilt.routeCount()).toBe(1)
    expect(rebuilt.replicaSets('s', 2)).toEqual([['s/0', 's/1']])
    expect(rebuilt.lowestFreeVersion('iris')).toBe(2)
  })

  test('knows the models that are being removed', () => {
    const scene = serving()
    scene.remove('iris')
    expect(scene.cluster.modelsBeingRemoved()).toContain('iris')
    scene.run('iris')
    expect(scene.cluster.modelsBeingRemoved().size).toBe(0)
  })

  test('forgets everything about a model that is gone', () => {
    const scene = serving()
    scene.remove('iris')
    scene.run('iris')
    expect(scene.cluster.modelCount()).toBe(0)
    expect(scene.cluster.routeCount()).toBe(0)
    expect(scene.cluster.replicaSets('s', 2)).toEqual([])
    expect(scene.cluster.lowestFreeVersion('iris')).toBe(1)
    expect(scene.cluster.awaitingAck().size).toBe(0)
  })

  test('knows which models wait for an ACK', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.envoy.acked = 0
    scene.apply({ name: 'iris' })
    scene.run('iris')
    expect(scene.cluster.awaitingAck()).toContain('iris')
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    expect(scene.cluster.awaitingAck().size).toBe(0)
  })

  test('names the models that a change concerns, and those that wait for room', () => {
    const scene = serving()
    scene.apply({ name: 'big', memoryBytes: 5_000 })
    scene.settle('big')
    const change = scene.cluster.apply({
      kind: 'observed',
      replica: 's/0',
      name: 'iris_1',
      document: undefined,
    })
    expect(change && scene.cluster.affectedModels(change)).toEqual(new Set(['iris', 'big']))
    const replica = scene.cluster.replica('s/1')
    const back = scene.cluster.apply({ kind: 'replica', name: 's/1', expectedRevision: 0, document: replica })
    expect(back && scene.cluster.affectedModels(back)).toEqual(new Set(['iris', 'big']))
    const draining = replica && { ...replica, draining: true }
    const drained = scene.cluster.apply({ kind: 'replica', name: 's/1', expectedRevision: 0, document: draining })
    expect(drained && scene.cluster.affectedModels(drained)).toEqual(new Set(['iris']))
  })

  test('events change no document', () => {
    const event = { atMs: 0, kind: 'info', reason: '', message: '' } as const
    expect(createClusterState().apply({ kind: 'event', subject: 'model/iris', event })).toBeUndefined()
  })
})

describe('what agents are told', () => {
  const copies = (scene: SchedulerScene): ModelDocument => scene.model('iris')

  test('of a placed model is one load per replica', () => {
    const scene = serving()
    expect(desiredChanges(undefined, copies(scene))).toMatchObject({
      load: [
        { replica: 's/0', desired: { internalName: 'iris_1', model: 'iris', version: 1, attempt: 0 } },
        { replica: 's/1', desired: { internalName: 'iris_1' } },
      ],
      unload: [],
    })
  })
  test('of a change that moves nothing is nothing', () => {
    const scene = serving()
    const before = copies(scene)
    expect(desiredChanges(before, { ...before, labels: { a: 'b' } })).toEqual({ load: [], unload: [] })
  })
  test('of another attempt is the load again', () => {
    const before = copies(serving())
    const [version] = before.versions
    if (version === undefined) throw new Error('no version')
    const after = { ...before, versions: [{ ...version, attempts: { 's/1': 1 } }] }
    expect(desiredChanges(before, after)).toMatchObject({ load: [{ replica: 's/1', desired: { attempt: 1 } }] })
  })
  test('of a model that is gone is to unload it', () => {
    expect(desiredChanges(copies(serving()), undefined)).toEqual({
      load: [],
      unload: [
        { replica: 's/0', internalName: 'iris_1' },
        { replica: 's/1', internalName: 'iris_1' },
      ],
    })
  })
})

describe('replica states of the compatible API', () => {
  const states = (scene: SchedulerScene): readonly string[] => {
    const model = scene.model('iris')
    const [version] = model.versions
    return version === undefined ? [] : toReplicaStatuses(model, version, scene.cluster).map(({ state }) => state)
  }

  test('follow a copy from request to Available', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.envoy.acked = 0
    scene.apply({ name: 'iris' })
    scene.settle('iris')
    expect(states(scene)).toEqual(['LoadRequested'])
    scene.report('s/0', 'iris_1', 'Loading')
    expect(states(scene)).toEqual(['Loading'])
    scene.report('s/0', 'iris_1', 'LoadFailed')
    expect(states(scene)).toEqual(['LoadFailed'])
    scene.report('s/0', 'iris_1', 'Loaded')
    scene.settle('iris')
    expect(states(scene)).toEqual(['Loaded'])
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    expect(states(scene)).toEqual(['Available'])
  })

  test('follow a copy from Available to Unloaded', () => {
    const scene = serving()
    scene.envoy.acked = scene.revision()
    scene.apply({ name: 'iris', replicas: 1, memoryBytes: 100 })
    scene.settle('iris')
    expect(states(scene)).toEqual(['Loaded', 'UnloadEnvoyRequested'])
    scene.envoy.acked = scene.revision()
    scene.settle('iris')
    expect(states(scene)).toEqual(['Available', 'UnloadRequested'])
    scene.clock.nowMs += DRAIN_MS
    scene.settle('iris')
    expect(states(scene)).toEqual(['Available', 'UnloadRequested'])
    for (const state of ['Unloading', 'UnloadFailed', 'Unloaded'] as const) {
      scene.report('s/1', 'iris_1', state)
      expect(states(scene)).toEqual(['Available', state])
    }
  })

  test('say when the replica drains or its server is down', () => {
    const scene = serving()
    scene.changeReplica('s/0', { draining: true })
    scene.changeReplica('s/1', { health: { kind: 'down', sinceMs: 0, reason: 'refused' } })
    expect(states(scene)).toEqual(['Draining', 'LoadedUnavailable'])
  })
})

describe('a server status', () => {
  test('counts replicas, memory and models', () => {
    const scene = serving()
    scene.addServer('s', { expectedReplicas: 3 })
    expect(toServerStatus('s', scene.cluster)).toMatchObject({
      expectedReplicas: 3,
      availableReplicas: 2,
      numLoadedModelReplicas: 2,
      replicas: [{ totalMemoryBytes: 1_000, availableMemoryBytes: 900, numLoadedModels: 1 }, {}],
      reason: '1 of 3 replicas have not connected: start them',
    })
  })
  test('does not count draining and dead replicas as available', () => {
    const scene = serving()
    scene.changeReplica('s/0', { draining: true })
    scene.changeReplica('s/1', { health: { kind: 'down', sinceMs: 0, reason: 'refused' } })
    expect(toServerStatus('s', scene.cluster)).toMatchObject({
      expectedReplicas: -1,
      availableReplicas: 0,
      reason: 's/0 is draining; s/1 is down',
    })
  })
  test('says nothing of replicas that were scaled away, and misses those that are expected', () => {
    const scene = serving()
    scene.addServer('s', { expectedReplicas: 1 })
    scene.changeReplica('s/1', { health: { kind: 'down', sinceMs: 0, reason: 'refused' }, draining: true })
    expect(toServerStatus('s', scene.cluster)).toMatchObject({ availableReplicas: 1, reason: '' })
    scene.addServer('s', { expectedReplicas: 3 })
    expect(toServerStatus('s', scene.cluster)?.reason).toBe(
      's/1 is down; 1 of 3 replicas have not connected: start them',
    )
  })
  test('of an unknown server is none', () => {
    expect(toServerStatus('nobody', createSchedulerScene().cluster)).toBeUndefined()
  })
})
