import { describe, expect, test } from 'vitest'
import { drainEnd } from '../../../../scheduler/agents/drain.ts'
import { createSchedulerScene } from '../../../support/scheduler-scene.ts'

const anywhere = (): boolean => true

describe('a draining replica', () => {
  test('waits for models that can move, not for those that cannot', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', storageUri: '/m' })
    scene.run('iris')
    scene.changeReplica('s/0', { draining: true })
    expect(drainEnd(scene.cluster, 's/0', anywhere, 0)).toBeUndefined() // not reconciled yet
    scene.settle('iris')
    expect(drainEnd(scene.cluster, 's/0', anywhere, 0)).toBe('1 model(s) have nowhere to go')
    scene.addReplica('s/1')
    scene.settle('iris')
    expect(drainEnd(scene.cluster, 's/0', anywhere, 0)).toBeUndefined()
    expect(drainEnd(scene.cluster, 's/0', anywhere, 60_000)).toContain('did not move in time')
    scene.run('iris')
    expect(drainEnd(scene.cluster, 's/0', anywhere, 0)).toBe('all its models are served elsewhere')
  })

  test('waits until the copies that have no other place have left their routes', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.addReplica('s/1')
    scene.apply({ name: 'iris', storageUri: '/m', replicas: 2 })
    scene.run('iris')
    scene.envoy.acked = scene.revision()
    scene.changeReplica('s/1', { draining: true })
    scene.settle('iris')
    expect(scene.model('iris').route?.replicas).toEqual(['s/0'])
    expect(drainEnd(scene.cluster, 's/1', anywhere, 0)).toBeUndefined()
    scene.envoy.acked = scene.revision()
    scene.run('iris')
    expect(drainEnd(scene.cluster, 's/1', anywhere, 0)).toBe('all its models are served elsewhere')
  })

  test('has nowhere to go when it is the last of those that drain', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.addReplica('s/1')
    scene.apply({ name: 'iris', storageUri: '/m', replicas: 2 })
    scene.run('iris')
    scene.changeReplica('s/0', { draining: true })
    scene.changeReplica('s/1', { draining: true })
    scene.settle('iris')
    expect(drainEnd(scene.cluster, 's/0', anywhere, 0)).toBe('1 model(s) have nowhere to go')
    expect(drainEnd(scene.cluster, 's/1', anywhere, 0)).toBeUndefined()
  })

  test('does not wait while nothing may move', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', storageUri: '/m' })
    scene.run('iris')
    expect(drainEnd(scene.cluster, 's/0', () => false, 0)).toContain('nothing moves before')
  })
})
