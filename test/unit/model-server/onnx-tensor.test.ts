import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DATATYPES } from '../../../api/oip/datatype.ts'
import { validTensor } from '../oip/valid-tensor.ts'
import { fromOnnxTensor, toDatatype, toOnnxTensor } from '../../../model-server/runtimes/onnx-tensor.ts'
import { comparable, tensorOf } from '../oip/tensors.ts'

describe.each(DATATYPES)('a %s tensor', (datatype) => {
  it('is the same after onnxruntime had it', () => {
    fc.assert(
      fc.property(tensorOf(datatype), (tensor) => {
        const back = fromOnnxTensor(tensor.name, toOnnxTensor({ ...tensor, bytes: new Uint8Array(tensor.bytes) }))
        expect(comparable({ ...back, parameters: tensor.parameters })).toEqual(comparable(tensor))
      }),
    )
  })
})

describe('what onnxruntime cannot take', () => {
  it('is BYTES that are no text', () => {
    expect(() => toOnnxTensor(validTensor('x', 'BYTES', [1], [Uint8Array.of(0xff)]))).toThrow(
      'tensor "x": element 0 is not UTF-8',
    )
  })

  it('is a type that the protocol does not have', () => {
    expect(() => toDatatype('x', 'int4')).toThrow('tensor "x" is of type int4')
  })
})
