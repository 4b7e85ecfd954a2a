import { describe, expect, test } from 'vitest'
import { silentLogger } from '../../../../kit/log.ts'
import { DEFAULT_RETRY_POLICY } from '../../../../scheduler/domain/reconcile/context.ts'
import { createBatch } from '../../../../scheduler/loop/batch.ts'
import { createReconciler } from '../../../../scheduler/loop/reconciler.ts'
import { BATCH_TARGET_WRITES } from '../../../../scheduler/loop/writer.ts'
import { place } from '../../../../scheduler/placement/place.ts'
import { gatewaysThat, NO_ENGINES, NO_MODEL_GATEWAYS } from '../../../support/pipelines.ts'
import { createSchedulerScene } from '../../../support/scheduler-scene.ts'

const MANY = Array.from({ length: 2 * BATCH_TARGET_WRITES }, (_, index) => `old-${String(index)}`)

function sceneOfMany() {
  const scene = createSchedulerScene()
  scene.addReplica('s/0')
  for (const name of [...MANY, 'wanted']) scene.apply({ name })
  const reconciler = createReconciler({
    cluster: scene.cluster,
    context: () => ({
      nowMs: 0,
      isAcked: () => true,
      heldNodes: () => [],
      drainTimeMs: 0,
      noNodeDrainTimeMs: 0,
      replicaGraceMs: 0,
      mayMove: () => true,
      moveBudget: () => true,
      retry: DEFAULT_RETRY_POLICY,
      place,
      gateways: gatewaysThat({}),
      engines: NO_ENGINES,
      modelGateways: NO_MODEL_GATEWAYS,
    }),
    schedule: () => undefined,
    onReconciled: () => undefined,
    log: silentLogger,
  })
  /** The models of the next batch. */
  const next = (): readonly string[] => {
    const batch = createBatch(scene.cluster)
    reconciler.fill(batch).done(true)
    return batch.writes().flatMap((write) => (write.kind === 'model' ? [write.name] : []))
  }
  return { reconciler, next }
}

describe('when more models are marked than fit into a batch', () => {
  test('one that was changed does not wait for all that a new leader looks at', () => {
    const { reconciler, next } = sceneOfMany()
    reconciler.markAll()
    reconciler.mark(['wanted'])
    expect(next()).toContain('wanted')
  })

  test('one to look at again does not wait for all that were changed', () => {
    const { reconciler, next } = sceneOfMany()
    reconciler.mark(MANY)
    reconciler.markLater(['wanted'])
    expect(next()).toContain('wanted')
  })

  test('each is looked at once, however it was marked', () => {
    const { reconciler, next } = sceneOfMany()
    reconciler.markLater(['wanted'])
    reconciler.mark(['wanted'])
    reconciler.markLater(['wanted'])
    expect(reconciler.size()).toBe(1)
    expect(next()).toEqual(['wanted'])
    expect(reconciler.size()).toBe(0)
  })
})
