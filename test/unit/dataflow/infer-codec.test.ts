import fc from 'fast-check'
import { expect, test } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import type { ModelInferRequest__Output } from '../../../api/generated/inference/ModelInferRequest.ts'
import { fromGrpcRequest, fromGrpcResponse, toGrpcResponse } from '../../../api/oip/grpc-inference.ts'
import type { Parameters } from '../../../api/oip/parameters.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import {
  decodeInferResponse,
  encodeInferRequest,
  encodeInferResponse,
} from '../../../dataflow/model-client/infer-codec.ts'

const { ModelInfer } = GRPCInferenceService.service

const parameters = fc.oneof(
  fc.constant({}),
  fc.dictionary(
    fc.string({ minLength: 1, maxLength: 5 }),
    fc.oneof(fc.boolean(), fc.bigInt({ min: -9n, max: 9n }), fc.string()),
  ),
) as fc.Arbitrary<Parameters>

/** FP32 of any size, and names that do and do not fit the short way. */
const tensor: fc.Arbitrary<Tensor> = fc
  .record({
    name: fc.oneof(fc.constant('INPUT'), fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' })),
    shape: fc
      .array(fc.integer({ min: 0, max: 20 }), { maxLength: 9 })
      .map((shape) => shape.map((size, axis) => (axis > 1 ? Math.min(size, 2) : size))),
    parameters,
  })
  .map(({ name, shape, parameters: own }) => {
    const bytes = new Uint8Array(4 * shape.reduce((count, size) => count * size, 1)).map((_, index) => index % 251)
    return { name, datatype: 'FP32', shape, parameters: own, bytes }
  })

const message = fc.record({
  id: fc.oneof(fc.constant(''), fc.string({ maxLength: 60 })),
  parameters,
  tensors: fc.array(tensor, { maxLength: 22 }),
})

test('a request is read by any reader as what it was, in one part or several', () => {
  fc.assert(
    fc.property(message, fc.string({ minLength: 1, maxLength: 130 }), ({ id, parameters: own, tensors }, model) => {
      const request = { id, parameters: own, inputs: tensors, outputs: [] }
      const bytes = Buffer.concat(encodeInferRequest(request, model))
      const read = ModelInfer.requestDeserialize(bytes) as ModelInferRequest__Output
      expect(read.modelName).toBe(model)
      expect(plain(fromGrpcRequest(read))).toEqual(plain(request))
    }),
  )
})

test('a response is read by any reader as what it was', () => {
  const text = fc.string({ maxLength: 130, unit: 'grapheme' })
  fc.assert(
    fc.property(message, text, text, ({ id, parameters: own, tensors }, modelName, modelVersion) => {
      const response = { modelName, modelVersion, id, parameters: own, outputs: tensors }
      const bytes = Buffer.concat(encodeInferResponse(response))
      expect(plain(fromGrpcResponse(ModelInfer.responseDeserialize(bytes)))).toEqual(plain(response))
    }),
  )
})

test('tensors above the size that is copied are passed by reference', () => {
  const bytes = new Uint8Array(1_000_000)
  const large: Tensor = { name: 'INPUT', datatype: 'UINT8', shape: [1_000_000], parameters: {}, bytes }
  const parts = encodeInferRequest({ id: '', parameters: {}, inputs: [large, large], outputs: [] }, 'm')
  expect(parts.filter((part) => part === bytes)).toHaveLength(2)
})

test('an answer of any writer is read as what it was', () => {
  fc.assert(
    fc.property(
      message,
      fc.constantFrom('raw' as const, 'typed' as const),
      ({ id, parameters: own, tensors }, form) => {
        const response = { modelName: 'm_1', modelVersion: '1', id, parameters: own, outputs: tensors }
        const bytes = ModelInfer.responseSerialize(toGrpcResponse(response, form))
        expect(plain(decodeInferResponse(bytes))).toEqual(plain(response))
      },
    ),
  )
})

test('names that look like the one before are read for themselves', () => {
  const names = ['A', 'é', 'B', 'Ã©', 'A', 'AB', 'x'.repeat(200), 'A', 'x'.repeat(200), 'é']
  for (const name of names) {
    const output: Tensor = { name, datatype: 'BOOL', shape: [1], parameters: {}, bytes: new Uint8Array([1]) }
    const response = { modelName: 'm', modelVersion: '', id: '', parameters: {}, outputs: [output] }
    const read = decodeInferResponse(Buffer.concat(encodeInferResponse(response)))
    expect(read.outputs[0]?.name).toBe(name)
  }
  const latin1 = Buffer.from([0x2a, 7, 0x0a, 1, 0xe9, 0x12, 2, 0x58, 0x58]) // a tensor "é" of no known datatype
  expect(() => decodeInferResponse(latin1)).toThrow()
})

test('bytes that are no answer are an error, never something else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      try {
        decodeInferResponse(Buffer.from(bytes))
      } catch (error) {
        expect(error).toBeInstanceOf(Error)
      }
    }),
  )
})

/** Views and buffers compare by their bytes. */
const plain = (value: object): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, part: unknown) =>
      typeof part === 'bigint' ? `${String(part)}n` : part instanceof Uint8Array ? [...part].join() : part,
    ).replaceAll(/\{"type":"Buffer","data":\[([^\]]*)\]\}/g, '"$1"'),
  )
