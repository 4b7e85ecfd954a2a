import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import type { Write } from '../../../../scheduler/domain/store.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { createBatch } from '../../../../scheduler/loop/batch.ts'
import { createDependentsReconciler } from '../../../../scheduler/loop/dependents.ts'
import { NOTHING_MEASURED } from '../../../../scheduler/domain/experiment/measurement.ts'
import { DEFAULT_RETRY_POLICY } from '../../../../scheduler/domain/reconcile/context.ts'
import { aModel, anExperiment, aPipeline, writeModel } from '../../../support/documents.ts'
import { gatewaysThat, NO_ENGINES, NO_MODEL_GATEWAYS } from '../../../support/pipelines.ts'

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

function reconcilerOf(cluster: ReturnType<typeof createClusterState>) {
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
      engines: NO_ENGINES,
      modelGateways: NO_MODEL_GATEWAYS,
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
  return { dependents, fill }
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
    const { dependents, fill } = reconcilerOf(cluster)
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

  test('one whose record cannot be understood does not keep the others from being looked at', () => {
    const cluster = createClusterState()
    cluster.apply(writeModel(answering('a')))
    cluster.apply(writeExperiment('broken', 'a'))
    cluster.apply(writeExperiment('good', 'a'))
    Object.assign(cluster.experiment('broken') ?? {}, { status: undefined })
    const { dependents, fill } = reconcilerOf(cluster)
    dependents.mark(['experiment/broken', 'experiment/good'])
    fill()
    expect(cluster.experiment('good')?.status).toMatchObject({ candidates: [{ name: 'a', ready: true }] })
  })
})

test('whatever is applied and deleted, in any order: what names a model is what would be found by looking at everything', () => {
  const name = fc.constantFrom('a', 'b', 'c')
  const names = fc.uniqueArray(name, { maxLength: 3 })
  const write = fc.oneof(
    fc.tuple(name, names, names).map(([pipeline, older, wanted]): Write => {
      const [first] = aPipeline(pipeline, ...older).versions
      const [second] = aPipeline(pipeline, ...wanted).versions
      const versions = [first, second].flatMap((version, index) =>
        version ? [{ ...version, version: index + 1 }] : [],
      )
      const document = { ...aPipeline(pipeline), versions }
      return { kind: 'pipeline', name: pipeline, expectedRevision: 0, document }
    }),
    fc
      .tuple(name, names, fc.option(name), fc.constantFrom('model' as const, 'pipeline' as const))
      .map(([experiment, candidates, mirror, resourceType]): Write => {
        const { spec, ...rest } = anExperiment(experiment, ...candidates)
        const full = { ...spec, resourceType, ...(mirror === null ? {} : { mirror: { name: mirror, percent: 1 } }) }
        return { kind: 'experiment', name: experiment, expectedRevision: 0, document: { ...rest, spec: full } }
      }),
    fc
      .tuple(fc.constantFrom('pipeline' as const, 'experiment' as const), name)
      .map(([kind, gone]): Write => ({ kind, name: gone, expectedRevision: 0, document: undefined })),
  )
  fc.assert(
    fc.property(fc.array(write, { maxLength: 30 }), (writes) => {
      const cluster = createClusterState()
      for (const each of writes) cluster.apply(each)
      for (const target of ['a', 'b', 'c'])
        for (const kind of ['model', 'pipeline'] as const) {
          const pipelines = kind === 'pipeline' ? [] : [...cluster.pipelines()]
          const expected = [
            ...pipelines
              .filter(({ versions }) => versions.some(({ spec }) => spec.steps.some((step) => step.name === target)))
              .map((pipeline) => `pipeline/${pipeline.name}`),
            ...[...cluster.experiments()]
              .filter(({ spec }) => spec.resourceType === kind)
              .filter(({ spec }) => [...(spec.candidates ?? []), spec.mirror].some((named) => named?.name === target))
              .map((experiment) => `experiment/${experiment.name}`),
          ]
          expect([...cluster.dependentsOf(kind, target)].toSorted()).toEqual(expected.toSorted())
        }
    }),
    { numRuns: 500 },
  )
})
