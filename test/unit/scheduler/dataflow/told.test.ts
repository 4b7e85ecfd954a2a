import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { tell, type Told, TOLD_NOTHING } from '../../../../scheduler/dataflow/told.ts'
import { heldVersions, servingPipelineVersion } from '../../../../scheduler/domain/pipeline/facts.ts'
import { aPipelineVersion, pipelineWith } from '../../../support/pipelines.ts'
import { createHeldPlans } from '../../../support/held-plans.ts'

const versions = (...numbers: readonly number[]) => ({ versions: numbers.map((number) => aPipelineVersion(number)) })
const holding = (...numbers: readonly number[]): Told => ({
  held: new Map(numbers.map((number) => [`uid-${String(number)}`, number])),
})
const kinds = (told: Told, pipeline: ReturnType<typeof pipelineWith>): readonly string[] =>
  tell(told, pipeline).messages.map(
    ({ load, serve, unload }) =>
      (load && `load ${String(load.version)}`) ??
      (serve && `serve ${String(serve.version)}`) ??
      `unload ${String(unload?.version)}${unload?.keepTopics === true ? '' : ' and topics'}`,
  )

describe('what a gateway is told of a pipeline', () => {
  it('loads what it does not hold, as JSON of the spec', () => {
    const pipeline = pipelineWith('p', versions(1))
    expect(kinds(TOLD_NOTHING, pipeline)).toEqual(['load 1'])
    const [message] = tell(TOLD_NOTHING, pipeline).messages
    expect(JSON.parse(message?.load?.specJson ?? '')).toEqual(pipeline.versions[0]?.spec)
  })

  it('hears of a version that serves before the one before it is unloaded', () => {
    expect(kinds(holding(1), pipelineWith('p', { ...versions(1, 2), serving: 1 }))).toEqual(['load 2', 'serve 1'])
    expect(kinds({ ...holding(1, 2), serving: 'uid-1' }, pipelineWith('p', { ...versions(1, 2), serving: 2 }))).toEqual(
      ['serve 2', 'unload 1'],
    )
  })

  it('is told nothing twice', () => {
    const pipeline = pipelineWith('p', { ...versions(1, 2), serving: 1 })
    expect(tell(tell(TOLD_NOTHING, pipeline).told, pipeline).messages).toEqual([])
  })

  it('keeps a deleted pipeline until it is to be unloaded, and deletes its topics only when its spec says so and nobody has it', () => {
    const deleted = pipelineWith('p', { ...versions(1), serving: 1, deleted: true })
    expect(kinds({ ...holding(1), serving: 'uid-1' }, deleted)).toEqual([])
    const { serving: _, ...off } = { ...deleted, unloading: true as const }
    expect(kinds(holding(1), off)).toEqual(['unload 1'])
    const spec = { ...aPipelineVersion(1).spec, dataflow: { cleanTopicsOnDelete: true } }
    const cleaned = { ...off, versions: [{ ...aPipelineVersion(1), spec }] }
    expect(kinds(holding(1), cleaned)).toEqual(['unload 1']) // others may still record
    const alone = { ...cleaned, cleaning: true as const }
    const unloaded = tell(holding(1), cleaned).told
    expect(kinds(unloaded, alone)).toEqual(['unload 1 and topics'])
    expect(kinds(TOLD_NOTHING, alone)).toEqual(['unload 1 and topics']) // it may not hold it; the topics are there
    expect(tell(tell(unloaded, alone).told, alone).messages).toEqual([])
  })

  it('replaces a version of the same number by its load alone', () => {
    const told: Told = { held: new Map([['another-uid', 1]]) }
    expect(kinds(told, pipelineWith('p', versions(1)))).toEqual(['load 1'])
  })
})

const document = fc
  .record({
    newest: fc.integer({ min: 1, max: 4 }),
    serving: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    end: fc.constantFrom('alive' as const, 'deleted' as const, 'unloading' as const),
  })
  .map(({ newest, serving, end }) =>
    pipelineWith('p', {
      ...versions(...Array.from({ length: newest }, (_, index) => index + 1)),
      ...(serving === undefined || end === 'unloading' ? {} : { serving: Math.min(serving, newest) }),
      deleted: end !== 'alive',
      ...(end === 'unloading' ? { unloading: true as const } : {}),
    }),
  )

test('whatever the history, a gateway that obeys holds what it shall hold and runs what serves', () => {
  fc.assert(
    fc.property(fc.array(document, { minLength: 1, maxLength: 8 }), (history) => {
      const plans = createHeldPlans()
      let told = TOLD_NOTHING
      for (const pipeline of history) {
        const telling = tell(told, pipeline)
        for (const { load, serve, unload } of telling.messages) {
          if (load) plans.load({ pipeline: 'p', version: load.version ?? 0, uid: load.uid ?? '' })
          if (serve) plans.serve({ pipeline: 'p', version: serve.version ?? 0, uid: serve.uid ?? '' })
          if (unload) plans.unload('p', unload.version ?? 0)
        }
        told = telling.told
        const uids = heldVersions(pipeline).map(({ uid }) => uid)
        expect(new Set(plans.held().map(({ uid }) => uid))).toEqual(new Set(uids))
        const serving = servingPipelineVersion(pipeline)
        if (serving !== undefined) expect(plans.running('p')?.uid).toBe(serving.uid)
      }
    }),
  )
})
