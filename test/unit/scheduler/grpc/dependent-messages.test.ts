/** Pipelines and experiments between manifests and the compatible API, over its real codec. */
import type { ServiceDefinition } from '@grpc/grpc-js'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { LoadPipelineRequest__Output } from '../../../../api/generated/seldon/mlops/scheduler/LoadPipelineRequest.ts'
import type { StartExperimentRequest__Output } from '../../../../api/generated/seldon/mlops/scheduler/StartExperimentRequest.ts'
import { Scheduler } from '../../../../api/grpc.ts'
import { parseManifests } from '../../../../api/resources/manifest.ts'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import { parseResource } from '../../../../api/resources/resource.ts'
import { packageRoot } from '../../../../kit/root.ts'
import { parseExperimentMessage } from '../../../../scheduler/grpc/experiment-messages.ts'
import {
  parsePipelineMessage,
  toPipelineMessage,
  toPipelineStatusMessage,
} from '../../../../scheduler/grpc/pipeline-messages.ts'
import { aPipeline } from '../../../support/documents.ts'
import { everyExperimentField, everyPipelineField, pipeline } from '../../../support/manifests.ts'

const service = Scheduler.service as ServiceDefinition
/** As the server reads what a client wrote. */
function overTheWire(call: 'LoadPipeline' | 'StartExperiment', message: object): unknown {
  const method = service[call]
  if (method === undefined) throw new Error(`no call ${call}`)
  return method.requestDeserialize(method.requestSerialize(message))
}

function sentAs(name: string, spec: PipelineSpec): PipelineSpec {
  const message = { pipeline: toPipelineMessage(name, { version: 1, uid: 'u', spec, atMs: 0 }) }
  return parsePipelineMessage((overTheWire('LoadPipeline', message) as LoadPipelineRequest__Output).pipeline).spec
}

const folder = join(packageRoot, 'samples/pipelines')
const samples = readdirSync(folder)
  .filter((name) => name.endsWith('.yaml'))
  .flatMap((name) => parseManifests(readFileSync(join(folder, name), 'utf8'), { name, folder }))
  .map(({ resource, location }) => [location, resource] as const)

describe('a pipeline in the compatible API', () => {
  it.each(samples)('is what %s says', (_location, { kind, metadata, spec }) => {
    if (kind !== 'Pipeline') throw new Error(`it is a ${kind}`)
    expect(sentAs(metadata.name, spec)).toEqual(spec)
  })

  it('has every field that the wire has; what is the default anyway, and what is ours, is left out', () => {
    const { spec } = parseResource(pipeline(everyPipelineField))
    const [first, second] = everyPipelineField.steps
    expect(sentAs('all', spec as PipelineSpec)).toEqual({
      steps: [first, { ...second, batch: { size: 2, windowMs: 10 } }],
      input: {
        externalInputs: ['other.outputs'],
        externalTriggers: ['other.step.one.outputs.x'],
        joinWindowMs: 5,
        triggersJoinType: 'any',
        tensorMap: { 'other.outputs.a': 'b' },
      },
      output: { steps: ['second'], stepsJoin: 'any' },
      dataflow: { cleanTopicsOnDelete: true },
      allowCycles: true,
      maxStepRevisits: 3,
    })
  })

  it('tells of the version before that it serves until the new one does', () => {
    const [first] = aPipeline('p', 'a').versions
    if (first === undefined) throw new Error('no version')
    const document = { ...aPipeline('p', 'a'), serving: 1, versions: [first, { ...first, version: 2, uid: 'second' }] }
    const states = toPipelineStatusMessage(document, true).versions?.map(({ state }) => [
      state?.pipelineVersion,
      state?.status,
    ])
    expect(states).toEqual([
      [1, 'PipelineReady'],
      [2, 'PipelineCreate'],
    ])
  })
})

it('an experiment in the compatible API has every field that the wire has', () => {
  const { default: baseline, candidates } = everyExperimentField
  const message = {
    experiment: {
      name: 'ab',
      default: baseline,
      candidates: candidates.map(({ name, weight }) => ({ name, weight })),
      mirror: { name: 'iris3', percent: 12 },
      resourceType: 'PIPELINE',
    },
  }
  const { experiment } = overTheWire('StartExperiment', message) as StartExperimentRequest__Output
  expect(parseExperimentMessage(experiment)).toMatchObject({
    metadata: { name: 'ab' },
    spec: {
      resourceType: 'pipeline',
      default: 'iris',
      candidates: [
        { name: 'iris', weight: 90 },
        { name: 'iris2', weight: 10 },
      ],
      mirror: { name: 'iris3', percent: 12 },
    },
  })
})
