/** Pipelines and experiments as people see them. */
import { describe, expect, it } from 'vitest'
import { descriptionOf } from '../../../cli/output/description.ts'
import { experimentColumns } from '../../../cli/output/experiment-table.ts'
import { pipelineColumns } from '../../../cli/output/pipeline-table.ts'
import { toTable } from '../../../cli/output/table.ts'
import { captureTerminal } from '../../support/capture-terminal.ts'
import { joinedPipeline, splitExperiment } from '../../support/stored-dependents.ts'

const terminal = captureTerminal()
const now = Date.now()

/** The same while Envoy is told these shares. */
const told = (...shares: readonly number[]): typeof splitExperiment => ({
  ...splitExperiment,
  status: {
    ...splitExperiment.status,
    candidates: (splitExperiment.status?.candidates ?? []).map((candidate, index) => ({
      ...candidate,
      share: shares[index] ?? Number.NaN,
    })),
  },
})

describe('lists', () => {
  it('show pipelines with their models and versions', () => {
    expect(toTable(pipelineColumns(terminal, now), [joinedPipeline])).toEqual([
      'NAME     STATE              MODELS   RUNNER   VERSION   AGE   REASON',
      'joined   PipelineCreating   2/3      direct   1 -> 2    3h    Version 2 is loading on gateway-0',
    ])
  })

  it('show experiments with what each candidate gets now, not with the weights that were applied', () => {
    expect(toTable(experimentColumns(terminal, now), [splitExperiment, told(90, 10)])).toEqual([
      'NAME   STATE                DEFAULT   CANDIDATES           MIRROR       AGE   REASON',
      'ab     ExperimentInactive   iris      iris:-,iris2:-       iris3:0.5%   2h    not ready: iris2 (ModelProgressing)',
      'ab     ExperimentInactive   iris      iris:90%,iris2:10%   iris3:0.5%   2h    not ready: iris2 (ModelProgressing)',
    ])
  })
})

describe('descriptions', () => {
  it('show the versions of a pipeline, and how many of its models are there', () => {
    const text = descriptionOf(joinedPipeline, [], terminal, now).join('\n')
    for (const line of [
      /^Models: +2\/3 available$/m,
      /^Runner: +direct$/m,
      /^Version: +1 -> 2$/m,
      /^ {2}1 +yes +\S+ +first +a$/m,
      /^ {2}2 +- +\S+ +second +a,b,c$/m,
    ])
      expect(text).toMatch(line)
    expect(text).not.toContain('Replicas')
    const overTopics = {
      ...joinedPipeline,
      spec: { ...joinedPipeline.spec, dataflow: { execution: 'topics' } },
    } as const
    expect(descriptionOf(overTopics, [], terminal, now).join('\n')).toMatch(/^Runner: +topics$/m)
  })

  it('show weight, share and readiness of everybody in an experiment', () => {
    const text = descriptionOf(told(99.5, 0.5), [], terminal, now).join('\n')
    for (const line of [
      /^ {2}NAME +ROLE +WEIGHT +SHARE +READY +REASON$/m,
      /^ {2}iris +default +3 +99.5 % +yes +-$/m,
      /^ {2}iris2 +candidate +1 +0.5 % +no +ModelProgressing$/m,
      /^ {2}iris3 +mirror +- +0.5 % +yes +-$/m,
    ])
      expect(text).toMatch(line)
    expect(descriptionOf(splitExperiment, [], terminal, now).join('\n')).toMatch(/^ {2}iris +default +3 +- +yes +-$/m)
  })
})
