import { describe, expect, it } from 'vitest'
import { type DeclaredTensor, parseModelDocument } from '../../../model-server/model-document.ts'
import { type GraphTensor, toMetadata } from '../../../model-server/runtimes/onnx-metadata.ts'
import { ServingError } from '../../../kit/errors.ts'

const issuesOf = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    if (error instanceof ServingError) return { code: error.code, paths: error.issues.map((issue) => issue.path) }
  }
  throw new Error('no ServingError was thrown')
}

describe('model.json', () => {
  it('may be empty', () => {
    expect(parseModelDocument({})).toEqual({
      platform: undefined,
      parameters: {},
      inputs: undefined,
      outputs: undefined,
      raw: {},
    })
  })

  it('declares tensors, by their own name in the artefact when that differs', () => {
    const { inputs, raw } = parseModelDocument({
      platform: 'onnx',
      inputs: [
        { name: 'a', datatype: 'FP32', shape: [-1, 4], source: 'float_input', parameters: { unit: 'cm' } },
        { name: 'b', datatype: 'BYTES', shape: [] },
      ],
      behaviour: { kind: 'echo' },
    })
    expect(inputs).toEqual([
      { name: 'a', datatype: 'FP32', shape: [-1, 4], source: 'float_input', parameters: { unit: 'cm' } },
      { name: 'b', datatype: 'BYTES', shape: [], source: 'b', parameters: {} },
    ])
    expect(raw['behaviour']).toEqual({ kind: 'echo' })
  })

  it('with errors is refused, naming each', () => {
    const tensors = [
      { name: '', datatype: 'FP32', shape: [1] },
      { name: 'b', datatype: 'FP32', shape: [-2] },
      { name: 'c', datatype: 'FP32', shape: [1], shpae: [1] },
    ]
    const { code, paths } = issuesOf(() => parseModelDocument({ platform: 7, inputs: tensors }))
    expect(code).toBe('LOAD_FAILED')
    expect(paths).toEqual(expect.arrayContaining(['/platform', '/inputs/0/name', '/inputs/1/shape/0', '/inputs/2']))
  })

  it.each([[[]], ['onnx'], [null]])('that is %j is refused', (raw) => {
    expect(issuesOf(() => parseModelDocument(raw)).code).toBe('LOAD_FAILED')
  })
})

describe('the metadata of an ONNX model', () => {
  const graph: readonly GraphTensor[] = [
    { name: 'label', datatype: 'INT64', shape: [-1] },
    { name: 'probabilities', datatype: 'FP32', shape: [-1, 3] },
  ]
  const declared = (tensor: GraphTensor, source = tensor.name): DeclaredTensor => ({
    ...tensor,
    source,
    parameters: {},
  })

  it('is the graph when nothing is declared', () => {
    expect(toMetadata('output', undefined, graph)).toEqual(graph.map((tensor) => declared(tensor)))
  })

  it('is what is declared, which may name tensors otherwise, narrow sizes, and leave outputs out', () => {
    const tensors = [declared({ name: 'predict', datatype: 'INT64', shape: [10] }, 'label')]
    expect(toMetadata('output', tensors, graph)).toEqual(tensors)
  })

  it.each<[string, DeclaredTensor]>([
    [
      'the graph has no "labels"; it has label, probabilities',
      declared({ name: 'labels', datatype: 'INT64', shape: [-1] }),
    ],
    ['is declared INT32, the graph says INT64', declared({ name: 'label', datatype: 'INT32', shape: [-1] })],
    [
      'is declared [-1,4], the graph says [-1,3]',
      declared({ name: 'probabilities', datatype: 'FP32', shape: [-1, 4] }),
    ],
    ['is declared [-1], the graph says [-1,3]', declared({ name: 'probabilities', datatype: 'FP32', shape: [-1] })],
  ])('is refused when it contradicts the graph: %s', (message, tensor) => {
    expect(() => toMetadata('output', [tensor], graph)).toThrow(message)
  })

  it('is refused when an input of the graph is missing', () => {
    expect(() => toMetadata('input', [declared({ name: 'label', datatype: 'INT64', shape: [-1] })], graph)).toThrow(
      'input "probabilities": of the graph is not declared',
    )
  })
})
