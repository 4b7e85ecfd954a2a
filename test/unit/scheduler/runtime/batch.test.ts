import { describe, expect, test } from 'vitest'
import { createClusterState } from '../../../../scheduler/domain/cluster.ts'
import { createBatch } from '../../../../scheduler/loop/batch.ts'
import { aModel, writeModel } from '../../../support/documents.ts'

const stored = (name: string, revision: number) => ({ ...aModel(name), revision })

describe('a batch', () => {
  test('expects of each document the revision that Redis has, however often it was changed', () => {
    const cluster = createClusterState()
    cluster.apply(writeModel(stored('iris', 4)))
    const batch = createBatch(cluster)
    batch.add([writeModel({ ...stored('iris', 4), deleted: true })])
    batch.add([{ kind: 'model', name: 'iris', expectedRevision: 4, document: undefined }])
    batch.add([writeModel(stored('iris', 0))])
    batch.add([writeModel(aModel('fresh'))])
    expect(batch.writes()).toMatchObject([
      { name: 'iris', expectedRevision: 4, document: { deleted: false } },
      { name: 'fresh', expectedRevision: 0 },
    ])
  })

  test('that is committed tells each change once, from before the batch to the new revision', () => {
    const cluster = createClusterState()
    cluster.apply(writeModel(stored('iris', 4)))
    const batch = createBatch(cluster)
    batch.add([writeModel({ ...stored('iris', 4), deleted: true })])
    batch.add([writeModel({ ...stored('iris', 4), deleted: true, labels: { a: 'b' } })])
    const changes = batch.settle(9)
    expect(changes).toMatchObject([
      { before: { revision: 4, deleted: false }, after: { revision: 9, deleted: true, labels: { a: 'b' } } },
    ])
    expect(cluster.model('iris')?.revision).toBe(9)
  })

  test('that is not committed leaves no trace', () => {
    const cluster = createClusterState()
    cluster.apply(writeModel(stored('iris', 4)))
    const batch = createBatch(cluster)
    batch.add([
      { kind: 'model', name: 'iris', expectedRevision: 4, document: undefined },
      writeModel(aModel('fresh')),
      { kind: 'observed', replica: 's/0', name: 'iris_1', document: anObserved },
    ])
    expect(cluster.model('iris')).toBeUndefined()
    batch.undo()
    expect(cluster.model('iris')).toEqual(stored('iris', 4))
    expect(cluster.model('fresh')).toBeUndefined()
    expect(cluster.observed('s/0', 'iris_1')).toBeUndefined()
  })

  test('counts and carries events', () => {
    const batch = createBatch(createClusterState())
    batch.add([{ kind: 'event', subject: 'model/iris', event: { atMs: 1, kind: 'info', reason: 'R', message: 'm' } }])
    expect(batch.size()).toBe(1)
    expect(batch.writes()).toHaveLength(1)
    expect(batch.settle(1)).toEqual([])
  })
})

const anObserved = {
  internalName: 'iris_1',
  state: 'Loaded',
  reason: '',
  artifactBytes: 0,
  attempt: 0,
  atMs: 0,
} as const
