import { expect, test } from 'vitest'
import type { ModelMetadata } from '../../../api/oip/metadata.ts'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { composeMetadata, stepModels } from '../../../dataflow/pipeline-gateway/pipeline-metadata.ts'

const model = (
  name: string,
  inputs: readonly string[],
  outputs: readonly string[],
): readonly [string, ModelMetadata] => {
  const tensor = (own: string) => ({ name: own, datatype: 'FP32' as const, shape: [-1], parameters: {} })
  return [
    name,
    { name, versions: [], platform: '', inputs: inputs.map(tensor), outputs: outputs.map(tensor), parameters: {} },
  ]
}
const models = new Map([
  model('simple', ['INPUT0', 'INPUT1'], ['OUTPUT0', 'OUTPUT1']),
  model('mul10', ['INPUT'], ['OUTPUT']),
  model('add10', ['INPUT'], ['OUTPUT']),
])

/** Names only. */
function ends(spec: PipelineSpec): readonly [readonly string[], readonly string[]] {
  const { inputs, outputs } = composeMetadata('p', 3, spec, models)
  return [inputs.map(({ name }) => name), outputs.map(({ name }) => name)]
}

test('a chain takes what its first step takes and gives what its last one gives', () => {
  expect(
    ends({
      steps: [
        { name: 'simple' },
        { name: 'mul10', inputs: ['simple.outputs.OUTPUT0'], tensorMap: { 'simple.outputs.OUTPUT0': 'INPUT' } },
      ],
      output: { steps: ['mul10'] },
    }),
  ).toEqual([['INPUT0', 'INPUT1'], ['OUTPUT']])
})

test('tensors of the request are named as the request has them, however the steps call them', () => {
  expect(
    ends({
      steps: [
        { name: 'mul10', inputs: ['p.inputs.A'], tensorMap: { 'p.inputs.A': 'INPUT' } },
        { name: 'add10', inputs: ['p'], tensorMap: { 'p.inputs.B': 'INPUT' } },
      ],
      output: { steps: ['mul10', 'add10.outputs.OUTPUT'], tensorMap: { 'mul10.outputs.OUTPUT': 'TIMES' } },
    }),
  ).toEqual([
    ['A', 'B'],
    ['TIMES', 'OUTPUT'],
  ])
})

test('what another step gives is not asked of the caller', () => {
  const spec: PipelineSpec = {
    steps: [
      { name: 'mul10', inputs: ['p.inputs.INPUT'] },
      { name: 'simple', inputs: ['p.inputs', 'mul10.outputs.OUTPUT'], tensorMap: { 'mul10.outputs.OUTPUT': 'INPUT1' } },
    ],
    output: { steps: ['simple.inputs.INPUT1'] },
  }
  expect(ends(spec)).toEqual([['INPUT', 'INPUT0'], ['INPUT1']])
  expect(stepModels(spec)).toEqual(['mul10', 'simple'])
})
