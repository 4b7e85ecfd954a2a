import { describe, expect, it } from 'vitest'
import {
  applyChange,
  availableMemoryBytes,
  type DesiredChange,
  modelsOf,
  NOTHING_KNOWN,
  toDesiredChange,
  toSpecKey,
} from '../../../agent/desired/desired.ts'
import { createProgress } from '../../../agent/reconcile/progress.ts'
import { known, model } from './models.ts'

const change = (other: Partial<DesiredChange>): DesiredChange => ({
  epoch: 'e1',
  generation: 2,
  full: false,
  models: [],
  removed: [],
  ...other,
})
const before = known([model('a_1'), model('b_1')], { generation: 2, confirmed: false })

describe('a message from the scheduler', () => {
  it('that is full replaces everything, in whatever epoch', () => {
    const result = applyChange(before, change({ epoch: 'e2', generation: 1, full: true, models: [model('c_1')] }))
    expect(result).toMatchObject({ kind: 'applied', desired: { epoch: 'e2', generation: 1, confirmed: true } })
    if (result.kind === 'applied') expect([...modelsOf(result.desired).keys()]).toEqual(['c_1'])
  })

  it('that is a difference adds, replaces and removes, and says the same when it comes twice', () => {
    const difference = change({ generation: 3, models: [model('a_1', { attempt: 2 }), model('c_1')], removed: ['b_1'] })
    const once = applyChange(before, difference)
    if (once.kind !== 'applied') throw new Error(once.kind)
    expect([...modelsOf(once.desired).entries()].map(([name, { attempt }]) => [name, attempt])).toEqual([
      ['a_1', 2],
      ['c_1', 1],
    ])
    expect(applyChange(once.desired, difference)).toEqual(once)
  })

  it('that changes nothing still confirms what is known', () => {
    expect(applyChange(before, change({}))).toMatchObject({
      kind: 'applied',
      desired: { confirmed: true, generation: 2 },
    })
  })

  it.each([
    ['older than ours is late', before, change({ generation: 1 }), 'late'],
    ['a difference in another epoch does not fit', before, change({ epoch: 'e2' }), 'outOfStep'],
    ['a difference to nothing does not fit', NOTHING_KNOWN, change({}), 'outOfStep'],
  ])('%s', (_name, desired, message, kind) => {
    expect(applyChange(desired, message).kind).toBe(kind)
  })

  it('tells an absent artifactVersion from version 0', () => {
    const wire = {
      internalName: 'a_1',
      modelName: 'a',
      version: 1,
      storageUri: '/a',
      requirements: [],
      parameters: {},
      memoryBytes: '5',
      attempt: 1,
      callBack: null,
    }
    const parse = (model: object) =>
      toDesiredChange({ epoch: 'e', generation: '9', full: true, removed: [], models: [{ ...wire, ...model }] })
    expect(parse({}).models[0]).not.toHaveProperty('artifactVersion')
    expect(parse({ artifactVersion: 0, _artifactVersion: 'artifactVersion' }).models[0]?.artifactVersion).toBe(0)
    expect(parse({})).toMatchObject({ generation: 9, models: [{ memoryBytes: 5 }] })
  })
})

describe('the spec key', () => {
  const spec = { storageUri: '/a', requirements: ['onnx'], parameters: { a: '1', b: '2' } }
  it('does not depend on the order of parameters', () => {
    expect(toSpecKey({ ...spec, parameters: { b: '2', a: '1' } })).toBe(toSpecKey(spec))
  })
  it.each([
    ['storageUri', { storageUri: '/b' }],
    ['artifactVersion', { artifactVersion: 0 }],
    ['requirements', { requirements: [] }],
    ['parameters', { parameters: { a: '1' } }],
    ['callBack', { callBack: { explainerType: 'a', kind: 'models' as const, name: 'm' } }],
  ])('depends on %s', (_name, other) => {
    expect(toSpecKey({ ...spec, ...other })).not.toBe(toSpecKey(spec))
  })
})

it('available memory is what the desired models leave, never below zero', () => {
  const models = modelsOf(known([model('a_1', { memoryBytes: 60 }), model('b_1', { memoryBytes: 70 })]))
  expect(availableMemoryBytes(200, models)).toBe(70)
  expect(availableMemoryBytes(100, models)).toBe(0)
})

describe('the applied generation', () => {
  it('stays below the oldest generation of which something is left to do', () => {
    const progress = createProgress()
    expect(progress.applied()).toBe(0)
    progress.update(3, ['a'])
    expect(progress.applied()).toBe(2)
    progress.update(5, ['a', 'b'])
    expect(progress.applied()).toBe(2)
    progress.update(5, ['b'])
    expect(progress.applied()).toBe(4)
    progress.update(5, [])
    expect(progress.applied()).toBe(5)
    progress.restart()
    progress.update(1, ['a'])
    expect(progress.applied()).toBe(0)
  })
})
