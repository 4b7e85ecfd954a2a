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

describe('lists', () => {
  it('show pipelines with their models and versions', () => {
    expect(toTable(pipelineColumns(terminal, now), [joinedPipeline])).toEqual([
      'NAME     STATE              MODELS   VERSION   AGE   REASON',
      'joined   PipelineCreating   2/3      1 -> 2    3h    Version 2 is loading on gateway-0',
    ])
  })

  it('show experiments with what they send to', () => {
    expect(toTable(experimentColumns(terminal, now), [splitExperiment])).toEqual([
      'NAME   STATE                DEFAULT   CANDIDATES       MIRROR       AGE   REASON',
      'ab     ExperimentInactive   iris      iris:3,iris2:1   iris3:0.5%   2h    not ready: iris2 (ModelProgressing)',
    ])
  })
})

describe('descriptions', () => {
  it('show the versions of a pipeline, and how many of its models are there', () => {
    const text = descriptionOf(joinedPipeline, [], terminal, now).join('\n')
    for (const line of [
      /^Models: +2\/3 available$/m,
      /^Version: +1 -> 2$/m,
      /^ {2}1 +yes +\S+ +first +a$/m,
      /^ {2}2 +- +\S+ +second +a,b,c$/m,
    ])
      expect(text).toMatch(line)
    expect(text).not.toContain('Replicas')
  })

  it('show the share and the readiness of everybody in an experiment', () => {
    const text = descriptionOf(splitExperiment, [], terminal, now).join('\n')
    for (const line of [
      /^ {2}iris +default +75 % +yes +-$/m,
      /^ {2}iris2 +candidate +25 % +no +ModelProgressing$/m,
      /^ {2}iris3 +mirror +0.5 % +yes +-$/m,
    ])
      expect(text).toMatch(line)
  })
})
