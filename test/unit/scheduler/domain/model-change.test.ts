import { describe, expect, test } from 'vitest'
import type { ModelDocument } from '../../../../scheduler/domain/documents.ts'
import {
  applyModel,
  deleteModel,
  MAX_HISTORY,
  refuseRoute,
  rollbackModel,
  type ModelChange,
} from '../../../../scheduler/domain/model-change.ts'
import { parseModelDraft, type ModelDraft } from '../../../../scheduler/domain/validate.ts'

const apply = (existing: ModelDocument | undefined, fields: Partial<ModelDraft> = {}, lowestFree = 1): ModelChange =>
  applyModel(existing, parseModelDraft({ name: 'iris', storageUri: '/models/iris', ...fields }), 1_000, lowestFree)
const meta = (generation: number) => ({ kubernetesMeta: { namespace: 'mesh', generation } })
const created = (fields: Partial<ModelDraft> = {}): ModelDocument => ({
  ...apply(undefined, fields).document,
  revision: 7,
})
const latest = (model: ModelDocument) => model.versions.at(-1)

describe('the first version', () => {
  test.each([
    [0, 1],
    [1, 1],
    [100, 100],
  ])('of generation %i is number %i', (generation, version) => {
    expect(apply(undefined, meta(generation))).toMatchObject({ kind: 'newVersion', version })
  })
  test('keeps clear of versions that agents still hold', () => {
    expect(apply(undefined, {}, 4)).toMatchObject({ version: 4 })
  })
})

describe('applying again', () => {
  test('the same is unchanged', () => {
    expect(apply(created()).kind).toBe('unchanged')
  })
  test('another generation alone keeps the version and remembers the generation', () => {
    const change = apply(created(meta(1)), meta(2))
    expect(change.kind).toBe('updated')
    expect(change.document.versions).toHaveLength(1)
    expect(latest(change.document)?.kubernetesMeta?.generation).toBe(2)
  })
  test.each<[string, Partial<ModelDraft>]>([
    ['replicas', { replicas: 4 }],
    ['the timeout', { timeoutMs: 100 }],
    ['labels', { labels: { team: 'a' } }],
    ['cleanTopicsOnDelete (the dataflow spec)', { cleanTopicsOnDelete: true }],
    ['topics (the stream spec)', { streamSpec: { inputTopic: 'in', outputTopic: 'out' } }],
  ])('%s alone is applied to the same version', (_, fields) => {
    const change = apply(created(), fields)
    expect(change.kind).toBe('updated')
    expect(change.document.versions).toHaveLength(1)
    expect(change.document).not.toEqual(created())
  })
  test('another spec is the next version, whatever the generation, and takes the new replicas with it', () => {
    const change = apply(created(meta(100)), { ...meta(7), storageUri: '/models/iris-2', replicas: 3 })
    expect(change).toMatchObject({ kind: 'newVersion', version: 101, document: { deployment: { replicas: 3 } } })
    expect(change.document.versions).toHaveLength(2)
  })
  test('settles what was written as "the commit that writes this"', () => {
    const routed = { ...created(), route: { version: 1, replicas: ['s/0'] as const, sinceRevision: 0 } }
    expect(apply(routed, { replicas: 2 }).document.route?.sinceRevision).toBe(7)
  })
  test('a new version clears what Envoy refused before', () => {
    const refused = refuseRoute(created(), 'no')
    expect(apply(refused, { storageUri: '/models/iris-2' }).document.refused).toBeUndefined()
    expect(apply(refused, { timeoutMs: 1 }).document.refused).toBeUndefined()
    expect(apply(refused, meta(3)).document.refused).toBe('no')
  })
})

describe('a model that is being deleted', () => {
  const deleted = deleteModel(created(), 2_000)
  test('is Terminating, and deleting it again changes nothing', () => {
    expect(deleted).toMatchObject({ deleted: true, status: { state: 'ModelTerminating' } })
    expect(deleteModel(deleted, 3_000)).toBe(deleted)
  })
  test('takes the generation of the deletion', () => {
    const { kubernetesMeta } = meta(9)
    expect(latest(deleteModel(created(), 2_000, kubernetesMeta))?.kubernetesMeta).toEqual(kubernetesMeta)
  })
  test('cannot be applied until it is unloaded', () => {
    expect(() => apply(deleted)).toThrow(expect.objectContaining({ code: 'MODEL_TERMINATING' }))
  })
  test.each(['ModelTerminated', 'ModelTerminateFailed'] as const)('is replaced by a new record once %s', (state) => {
    const ended = { ...deleted, status: { ...deleted.status, state } }
    expect(apply(ended, {}, 2)).toMatchObject({
      kind: 'newVersion',
      version: 2,
      document: { deleted: false, revision: 7 },
    })
  })
  test('cannot be rolled back', () => {
    expect(() => rollbackModel(deleted, undefined, 1)).toThrow(expect.objectContaining({ code: 'MODEL_TERMINATING' }))
  })
})

describe('rolling back', () => {
  const second = apply(created(), { storageUri: '/models/iris-2' }).document
  test('makes a new version with the spec of the one before', () => {
    const change = rollbackModel(second, undefined, 3_000)
    expect(change).toMatchObject({ kind: 'newVersion', version: 3 })
    expect(latest(change.document)?.spec.storageUri).toBe('/models/iris')
  })
  test('to a version that is not kept names those that are', () => {
    expect(() => rollbackModel(second, 9, 3_000)).toThrow(/version 9.*it can go back to 1/)
  })
  test('of a first version has nowhere to go', () => {
    expect(() => rollbackModel(created(), undefined, 3_000)).toThrow(
      expect.objectContaining({
        code: 'VERSION_NOT_FOUND',
        message: 'Model iris cannot go back: it has no earlier version.',
      }),
    )
  })
})

test('history keeps the last ten specs', () => {
  let model = created()
  for (let version = 2; version <= 15; version += 1)
    model = apply(model, { storageUri: `/models/${String(version)}` }).document
  expect(model.history).toHaveLength(MAX_HISTORY)
  expect(model.history.at(-1)?.version).toBe(15)
})
