import { describe, expect, test } from 'vitest'
import { hasDrainedAndLeft, planForget } from '../../../../scheduler/loop/forget-replicas.ts'
import type { ReplicaKey } from '../../../../scheduler/domain/documents.ts'
import { createSchedulerScene, GRACE_MS } from '../../../support/scheduler-scene.ts'

describe('replicas that are gone', () => {
  test('are forgotten after the grace, with what they had, unless they are expected or wanted', () => {
    const scene = createSchedulerScene()
    const lost = { agent: { kind: 'lost', sinceMs: scene.clock.nowMs } } as const
    scene.addServer('expected', { expectedReplicas: 1 })
    scene.addReplica('expected/0', lost)
    scene.addReplica('expected/1', lost)
    scene.addReplica('there/0')
    scene.addReplica('used/0')
    scene.apply({ name: 'iris', storageUri: '/m', server: 'used' })
    scene.run('iris')
    scene.changeReplica('used/0', lost)
    scene.report('expected/1', 'old_1', 'Loaded')
    expect(planForget(scene.cluster, scene.clock.nowMs, GRACE_MS, 10)).toEqual([])
    scene.clock.nowMs += GRACE_MS
    const writes = planForget(scene.cluster, scene.clock.nowMs, GRACE_MS, 10)
    expect(writes.map((write) => [write.kind, 'name' in write ? write.name : ''])).toEqual([
      ['observed', 'old_1'],
      ['replica', 'expected/1'],
    ])
    expect(planForget(scene.cluster, scene.clock.nowMs, GRACE_MS, 1)).toHaveLength(1)
  })

  test('are forgotten without grace when they drained because their server was scaled down', () => {
    const scene = createSchedulerScene()
    const left = { agent: { kind: 'lost', sinceMs: scene.clock.nowMs }, draining: true } as const
    scene.addServer('scaled', { expectedReplicas: 1 })
    for (const key of ['scaled/0', 'scaled/1', 'unsaid/0'] as const) scene.addReplica(key, left)
    scene.addReplica('scaled/2', { draining: true })
    const change = (key: ReplicaKey) =>
      ({ kind: 'replica', name: key, before: undefined, after: scene.cluster.replica(key) }) as const
    expect([hasDrainedAndLeft(change('scaled/1')), hasDrainedAndLeft(change('scaled/2'))]).toEqual([true, false])
    const writes = planForget(scene.cluster, scene.clock.nowMs, GRACE_MS, 10)
    expect(writes.map((write) => ('name' in write ? write.name : ''))).toEqual(['scaled/1'])
  })
})
