import { describe, expect, test } from 'vitest'
import { createReadiness, describeAwaited } from '../../../../scheduler/loop/readiness.ts'
import { createSchedulerScene } from '../../../support/scheduler-scene.ts'

function start(connected: Record<string, number>) {
  const scene = createSchedulerScene()
  scene.addServer('applied', { expectedReplicas: 3 })
  scene.addReplica('known/0')
  scene.addReplica('known/1')
  scene.addServer('scaled', { expectedReplicas: 1 })
  scene.addReplica('scaled/0')
  scene.addReplica('scaled/1')
  scene.addReplica('left/0', { draining: true, agent: { kind: 'lost', sinceMs: 0 } })
  const readiness = createReadiness({
    cluster: scene.cluster,
    connectedOf: (server) => connected[server] ?? 0,
    timeoutMs: 1_000,
    now: () => scene.clock.nowMs,
  })
  return { scene, readiness }
}

describe('after a start', () => {
  test('servers are awaited as applied, or as they were; one that left in good order is not', () => {
    const { readiness } = start({ known: 1, scaled: 1 })
    expect(readiness.awaited()).toEqual([
      { server: 'applied', expected: 3, connected: 0 },
      { server: 'known', expected: 2, connected: 1 },
    ])
    expect(describeAwaited(readiness.awaited())).toBe('applied (0 of 3), known (1 of 2)')
    expect(readiness.mayMove('left')).toBe(true)
    expect(readiness.mayMove('scaled')).toBe(true) // the second was scaled away and has not drained yet
    expect(readiness.mayMove('never-heard-of')).toBe(true)
  })

  test('each server moves on its own, and one that was complete once is not awaited again', () => {
    const connected: Record<string, number> = { known: 2 }
    const { readiness } = start(connected)
    expect(readiness.mayMove('known')).toBe(true)
    expect(readiness.mayMove('applied')).toBe(false)
    connected['known'] = 0
    expect(readiness.mayMove('known')).toBe(true)
  })

  test('after the time nothing is awaited', () => {
    const { readiness, scene } = start({})
    expect(readiness.mayMove('applied')).toBe(false)
    scene.clock.nowMs += 1_000
    expect(readiness.mayMove('applied')).toBe(true)
    expect(readiness.awaited()).toEqual([])
  })
})
