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

  test('does not wait while nothing may move', () => {
    const scene = createSchedulerScene()
    scene.addReplica('s/0')
    scene.apply({ name: 'iris', storageUri: '/m' })
    scene.run('iris')
    expect(drainEnd(scene.cluster, 's/0', () => false, 0)).toContain('nothing moves before')
  })
})
