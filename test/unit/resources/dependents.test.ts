import { describe, expect, it } from 'vitest'
import { parseResource, warningsOf } from '../../../api/resources/resource.ts'
import { type Issue, ServingError } from '../../../kit/errors.ts'
import { everyExperimentField, everyPipelineField, experiment, pipeline } from '../../support/manifests.ts'

function issuesOf(raw: unknown): readonly Issue[] {
  try {
    parseResource(raw)
  } catch (error) {
    if (error instanceof ServingError) return error.issues
  }
  throw new Error('was accepted')
}
const pathsOf = (raw: unknown): readonly string[] => issuesOf(raw).map(({ path }) => path)

describe('a Pipeline', () => {
  it('is accepted with every field and given back as it was', () => {
    const raw = pipeline(everyPipelineField)
    expect(parseResource(raw)).toEqual(raw)
    expect(warningsOf(parseResource(raw))).toEqual([])
  })

  it('is refused with every problem at once, each with its path', () => {
    const raw = pipeline({
      steps: [{ name: 'first', inputsJoinType: 'left', triggerz: [] }, { inputs: 'first' }],
      output: {},
      dataflow: { execution: 'both', record: 'some' },
      timeoutMs: 0,
    })
    expect(issuesOf(raw)).toEqual([
      { path: 'spec.steps[0].inputsJoinType', message: '"left" is not allowed; use inner or outer or any' },
      { path: 'spec.steps[0].triggerz', message: 'unknown field; did you mean triggers?' },
      { path: 'spec.steps[1].inputs', message: 'must be a list, not "first"' },
      { path: 'spec.steps[1].name', message: 'is required' },
      { path: 'spec.output.steps', message: 'is required' },
      {
        path: 'spec.dataflow.execution',
        message: '"both" is not allowed; use direct or topics',
      },
      { path: 'spec.dataflow.record', message: '"some" is not allowed; use none or boundary or all' },
      { path: 'spec.timeoutMs', message: 'must be at least 1, not 0' },
    ])
  })
})

describe('an Experiment', () => {
  it('is accepted with every field and given back as it was', () => {
    const raw = experiment(everyExperimentField)
    expect(parseResource(raw)).toEqual(raw)
  })

  it('may be a mirror alone, or have candidates of weight 0 beside others', () => {
    for (const spec of [
      { mirror: { name: 'iris', percent: 0.1 } },
      {
        candidates: [
          { name: 'a', weight: 0 },
          { name: 'b', weight: 1 },
        ],
      },
    ])
      expect(parseResource(experiment(spec)).spec).toEqual(spec)
  })

  it('is refused when it sends nowhere, or when all weights are 0', () => {
    expect(pathsOf(experiment({}))).toEqual(['spec.candidates'])
    expect(pathsOf(experiment({ candidates: [] }))).toEqual(['spec.candidates'])
    expect(issuesOf(experiment({ candidates: [{ name: 'a', weight: 0 }] }))).toEqual([
      { path: 'spec.candidates', message: 'have weights that sum up to 0: give one of them more' },
    ])
  })

  it('is refused when a name comes twice, or the default is not a candidate', () => {
    const candidates = [
      { name: 'a', weight: 1 },
      { name: 'a', weight: 1 },
    ]
    const raw = experiment({ default: 'c', candidates, mirror: { name: 'a', percent: 101 } })
    expect(pathsOf(raw)).toEqual(['spec.mirror.percent', 'spec.candidates[1].name', 'spec.mirror.name', 'spec.default'])
  })

  it('is refused when a condition says nothing or too much, or a header cannot be one', () => {
    const match = [{ header: 'X Y', exact: 'a', prefix: 'b' }, { header: 'x-a' }]
    const raw = experiment({ candidates: [{ name: 'a', weight: 1, match }], stickiness: { header: '' } })
    expect(pathsOf(raw)).toEqual([
      'spec.candidates[0].match[0].header',
      'spec.candidates[0].match[0]',
      'spec.candidates[0].match[1]',
      'spec.stickiness.header',
    ])
  })

  it('is refused when it has more than the router takes, or a value that no header has', () => {
    const many = Array.from({ length: 65 }, (_, index) => ({ name: `m${String(index)}`, weight: 1 }))
    expect(issuesOf(experiment({ candidates: many }))).toEqual([
      { path: 'spec.candidates', message: 'has 65 entries: use at most 64' },
    ])
    const match = [
      { header: 'x-a', exact: 'two\nlines' },
      { header: 'x-b', present: false },
    ]
    expect(pathsOf(experiment({ candidates: [{ name: 'a', weight: 1, match }] }))).toEqual([
      'spec.candidates[0].match[0].exact',
      'spec.candidates[0].match[1].present',
    ])
  })

  it('is refused when a rollout has nothing to compare with, or does not grow', () => {
    const rollout = { steps: [10, 10, 100], intervalMs: 1_000, analysis: { maxP99Ratio: 2 } }
    expect(
      issuesOf(experiment({ candidates: [{ name: 'a', weight: 1 }], rollout })).map(({ message }) => message),
    ).toEqual([
      'needs spec.default: there is nothing to compare with',
      'is between the default and one other candidate, not 1',
      'must grow from step to step',
      'reach 100, which leaves the default nothing to compare with: use 99 at most, or limits in milliseconds',
    ])
  })

  it('that is not of its shape is told so, and no rule stumbles over it', () => {
    const raw = experiment({ default: 1, candidates: ['a', { weight: 'x' }], mirror: [], rollout: 'no' })
    expect(pathsOf(raw)).toContain('spec.candidates[0]')
    expect(pathsOf(raw)).toContain('spec.rollout')
  })
})
