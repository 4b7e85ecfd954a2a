/** Why nothing may come of the pipelines that another one names as inputs. */
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import { feedingProblems } from '../../../../scheduler/domain/pipeline/feeding.ts'
import { aPipelineVersion, pipelineWith } from '../../../support/pipelines.ts'

const problemsOf = (reference: string, spec?: Partial<PipelineSpec>, isDeleted = false): readonly string[] => {
  const named = pipelineWith('q', {
    deleted: isDeleted,
    versions: [{ ...aPipelineVersion(1), spec: { steps: [{ name: 's' }], output: { steps: ['s'] }, ...spec } }],
  })
  const taking = aPipelineVersion(1)
  const version = { ...taking, spec: { ...taking.spec, input: { externalInputs: [reference] } } }
  return feedingProblems(version, (name) => (spec !== undefined && name === 'q' ? named : undefined))
}
const because = (why: string) => [`nothing comes from pipeline q, which it names as an input: ${why}`]

describe('a pipeline that is named as an input', () => {
  it.each([
    ['q', undefined, because('there is none of that name')],
    ['q', { dataflow: { record: 'none' } }, because('it records nothing (dataflow.record none)')],
    [
      'q.step.s',
      { dataflow: { record: 'boundary' } },
      because('it does not record its steps (dataflow.record boundary)'),
    ],
    ['q.outputs.t', { dataflow: { record: 'boundary' } }, []],
    ['q.step.t.inputs', {}, because('it has no step t')],
    ['q', { output: undefined as never }, because('it has no output')],
    ['q.inputs', { output: undefined as never }, []],
    ['q.step.s', {}, []],
  ] as const)('%s of %j', (reference, spec, problems) => {
    expect(problemsOf(reference, spec as Partial<PipelineSpec> | undefined)).toEqual(problems)
  })

  it('may be about to go', () => {
    expect(problemsOf('q', {}, true)).toEqual(because('it is being deleted'))
  })
})
