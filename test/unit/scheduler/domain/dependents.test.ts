import { describe, expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import type { Write } from '../../../../scheduler/domain/store.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { createBatch } from '../../../../scheduler/loop/batch.ts'
import { createDependentsReconciler } from '../../../../scheduler/loop/dependents.ts'
import { NOTHING_MEASURED } from '../../../../scheduler/domain/experiment/measurement.ts'
import { DEFAULT_RETRY_POLICY } from '../../../../scheduler/domain/reconcile/context.ts'
import { aModel, anExperiment, aPipeline, writeModel } from '../../../support/documents.ts'
import { gatewaysThat } from '../../../support/pipelines.ts'

const writePipeline = (name: string, ...models: string[]): Write => ({
  kind: 'pipeline',
  name,
  expectedRevision: 0,
  document: aPipeline(name, ...models),
})
const writeExperiment = (name: string, ...candidates: string[]): Write => ({
  kind: 'experiment',
  name,
  expectedRevision: 0,
  document: anExperiment(name, ...candidates),
})

const answering = (name: string) => {
  const model = aModel(name)
  const route = { version: 1, replicas: ['s/0' as const], sinceRevision: 1, ackedAtMs: 1 }
  return { ...model, route, status: { ...model.status, state: 'ModelAvailable' as const, availableReplicas: 1 } }
}

function applied(cluster: ReturnType<typeof createClusterState>, write: Write) {
  const change = cluster.apply(write)
  if (change === undefined) throw new Error('nothing changed')
  return [...cluster.affectedDependents(change)].toSorted()
}

describe('pipelines and experiments', () => {
  test('are affected by the models that they name, and by nothing else', () => {
    const cluster = createClusterState()
    expect(applied(cluster, writePipeline('p', 'a', 'b', 'a'))).toEqual(['pipeline/p'])
    expect(applied(cluster, writeExperiment('e', 'a', 'c'))).toEqual(['experiment/e'])
    expect(applied(cluster, writeModel(aModel('a')))).toEqual(['experiment/e'])
    expect(applied(cluster, writeModel(answering('a')))).toEqual(['experiment/e', 'pipeline/p'])
    expect(applied(cluster, writeModel(answering('b')))).toEqual(['pipeline/p'])
    expect(applied(cluster, writeModel(aModel('other')))).toEqual([])

    cluster.apply(writePipeline('p', 'other'))
    expect(applied(cluster, writeModel(aModel('a')))).toEqual(['experiment/e'])
    expect(applied(cluster, writeModel(answering('other')))).toEqual(['pipeline/p'])
    expect(applied(cluster, writeModel({ ...answering('other'), labels: { a: 'b' } }))).toEqual([]) // it answered before
    cluster.apply({ kind: 'experiment', name: 'e', expectedRevision: 0, document: undefined })
    expect(applied(cluster, writeModel(aModel('a')))).toEqual([])
    expect(cluster.experiment('e')).toBeUndefined()
  })

  test('say what is not ready, once, and go when they are deleted', () => {
    const cluster = createClusterState()
    cluster.apply(writeModel(answering('a')))
    cluster.apply(writePipeline('p', 'b', 'a'))
    cluster.apply(writeExperiment('e', 'a', 'b'))
    const dependents = createDependentsReconciler({
      cluster,
      context: () => ({
        measured: () => NOTHING_MEASURED,
        nowMs: 7,
        isAcked: () => true,
        heldNodes: () => [],
        drainTimeMs: 0,
        noNodeDrainTimeMs: 0,
        replicaGraceMs: 0,
        mayMove: () => true,
        moveBudget: () => true,
        retry: DEFAULT_RETRY_POLICY,
        gateways: gatewaysThat({}),
        place: () => {
          throw new Error('nothing is placed here')
        },
      }),
      schedule: () => undefined,
      log: silentLogger,
    })
    const fill = (): number => {
      const batch = createBatch(cluster)
      dependents.fill(batch).done(true)
      return batch.size()
    }
    dependents.markAll()
    expect(fill()).toBe(4) // two documents, two events
    expect(cluster.pipeline('p')?.status).toMatchObject({
      state: 'PipelineCreate',
      missingModels: ['b'],
      changedAtMs: 7,
    })
    expect(cluster.experiment('e')?.status).toMatchObject({
      active: false,
      candidates: [
        { name: 'a', ready: true },
        { name: 'b', ready: false, reason: 'the model does not exist' },
      ],
    })
    dependents.markAll()
    expect(fill()).toBe(0)

    cluster.apply({ kind: 'pipeline', name: 'p', expectedRevision: 0, document: { ...aPipeline('p'), deleted: true } })
    dependents.mark(['pipeline/p', 'pipeline/unknown'])
    fill()
    expect(cluster.pipeline('p')).toBeUndefined()
    expect(dependents.size()).toBe(0)
  })
})
