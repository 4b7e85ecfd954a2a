import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DATATYPES } from '../../../api/oip/datatype.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import type { DeclaredTensor } from '../../../model-server/model-document.ts'
import { fromModelOutput, type ModelTensor, toModelTensor } from '../../../model-server/runtimes/javascript-tensor.ts'
import { comparable, tensorOf } from '../oip/tensors.ts'
import { validTensor } from '../oip/valid-tensor.ts'

const declared = (datatype: Tensor['datatype'], shape: readonly number[]): DeclaredTensor => ({
  name: 'x',
  datatype,
  shape,
  source: 'x',
  parameters: {},
})
const toModel = (datatype: Tensor['datatype'], elements: readonly unknown[]): ModelTensor =>
  toModelTensor(validTensor('x', datatype, [elements.length], elements))
/** The bytes that a model's output becomes, as little-endian elements again. */
const dataOf = (datatype: Tensor['datatype'], output: unknown, shape: readonly number[] = [-1]) =>
  toModelTensor(fromModelOutput(declared(datatype, shape), output)).data

describe.each(DATATYPES)('a %s tensor', (datatype) => {
  it('is the same after a model gave it back, with its shape or in the declared one', () => {
    fc.assert(
      fc.property(tensorOf(datatype), (tensor) => {
        const own = { ...tensor, bytes: new Uint8Array(tensor.bytes) }
        const { data, shape } = toModelTensor(own)
        const open = { ...declared(datatype, tensor.shape), name: tensor.name }
        for (const output of [{ data, shape }, { data, datatype }, data])
          expect(comparable({ ...fromModelOutput(open, output), parameters: tensor.parameters })).toEqual(
            comparable(tensor),
          )
      }),
    )
  })
})

describe('what a model is given', () => {
  it.each<[Tensor['datatype'], readonly unknown[], unknown]>([
    ['INT32', [1, -2], Int32Array.of(1, -2)],
    ['UINT8', [255], Uint8Array.of(255)],
    ['FP32', [0.5], Float32Array.of(0.5)],
    ['FP16', [0.5, 65_504], Float32Array.of(0.5, 65_504)],
    ['INT64', [2n ** 62n], BigInt64Array.of(2n ** 62n)],
    ['UINT64', [2n ** 64n - 1n], BigUint64Array.of(2n ** 64n - 1n)],
    ['BOOL', [true, false], [true, false]],
    ['BYTES', ['é', ''], [Buffer.from('é'), Buffer.alloc(0)]],
  ])('for %s %s is JavaScript’s own form', (datatype, elements, expected) => {
    expect(toModel(datatype, elements).data).toEqual(expected)
  })

  it('for BYTES is text, too, when it is UTF-8', () => {
    expect(toModel('BYTES', ['é', '']).strings()).toEqual(['é', ''])
    expect(() => toModel('BYTES', ['a', Uint8Array.of(0xff)]).strings()).toThrow('tensor "x": element 1 is not UTF-8')
    expect(() => toModel('INT32', [1]).strings()).toThrow('tensor "x": is INT32: only BYTES have strings()')
  })
})

describe('an output', () => {
  it('may be a list, or another typed array whose values fit', () => {
    expect(dataOf('FP32', [1, 2.5])).toEqual(Float32Array.of(1, 2.5))
    expect(dataOf('FP32', Float64Array.of(1, 2.5))).toEqual(Float32Array.of(1, 2.5))
    expect(dataOf('INT64', [1, 2n])).toEqual(BigInt64Array.of(1n, 2n))
    expect(dataOf('BYTES', ['a', Buffer.from('b')])).toEqual([Buffer.from('a'), Buffer.from('b')])
    expect(dataOf('BOOL', [true, 0])).toEqual([true, false])
  })

  it('is a copy of what the model keeps', () => {
    const kept = Float32Array.of(1, 2)
    const output = fromModelOutput(declared('FP32', [-1]), kept)
    kept.fill(9)
    expect(toModelTensor(output).data).toEqual(Float32Array.of(1, 2))
  })

  it.each<[readonly number[], number, readonly number[]]>([
    [[2, 3], 6, [2, 3]],
    [[-1, 3], 6, [2, 3]],
    [[-1], 0, [0]],
    [[], 1, []],
  ])('without a shape, declared %j with %i elements, has shape %j', (shape, count, expected) => {
    expect(fromModelOutput(declared('INT8', shape), Array(count).fill(1)).shape).toEqual(expected)
  })

  it.each<[string, DeclaredTensor, unknown]>([
    ['is 7, must be an array', declared('FP32', [-1]), 7],
    ['data is "abc", must be an array', declared('BYTES', [1]), { data: 'abc' }],
    ['data is a DataView, must be an array', declared('INT8', [1]), { data: new DataView(new ArrayBuffer(1)) }],
    ['is "FP64", model.json declares FP32', declared('FP32', [-1]), { data: [1], datatype: 'FP64' }],
    ['has shape [1,3], model.json declares [-1,4]', declared('FP32', [-1, 4]), { data: [1, 2, 3], shape: [1, 3] }],
    ['has shape [3], model.json declares [1,3]', declared('FP32', [1, 3]), { data: [1, 2, 3], shape: [3] }],
    ['shape is "3", must be a list of numbers', declared('FP32', [-1]), { data: [1], shape: '3' }],
    ['dimensions must be whole numbers', declared('FP32', [-1]), { data: [1], shape: [1.5] }],
    ['has 3 elements, its shape [2] has 2', declared('FP32', [-1]), { data: [1, 2, 3], shape: [2] }],
    ['has 3 elements, its shape [2] has 2', declared('FP32', [2]), [1, 2, 3]],
    ['the declared [-1,4] does not divide 3 elements', declared('FP32', [-1, 4]), [1, 2, 3]],
    ['the declared [-1,-1] has more than one open dimension', declared('FP32', [-1, -1]), [1]],
    ['element 1 is 1.5, must be an integer', declared('INT32', [-1]), [1, 1.5]],
    ['element 0 is "a", must be a number', declared('FP32', [-1]), ['a']],
    ['element 0 is 1, must be a string', declared('BYTES', [-1]), [1]],
  ])('that is wrong is refused by name: %s', (message, tensor, output) => {
    expect(() => fromModelOutput(tensor, output)).toThrow(`tensor "x": `)
    expect(() => fromModelOutput(tensor, output)).toThrow(message)
  })
})
