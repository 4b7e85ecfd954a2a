import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import type { ModelInferRequest__Output } from '../../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse__Output } from '../../../api/generated/inference/ModelInferResponse.ts'
import { DATATYPES } from '../../../api/oip/datatype.ts'
import { decodeElements, encodeElements } from '../../../api/oip/elements.ts'
import { fromHalfBits, toHalfBits } from '../../../api/oip/float16.ts'
import { fromGrpcRequest, fromGrpcResponse, toGrpcRequest, toGrpcResponse } from '../../../api/oip/grpc-inference.ts'
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import { parseRestRequest, toRestRequest } from '../../../api/oip/rest-request.ts'
import { parseRestResponse, toRestResponse } from '../../../api/oip/rest-response.ts'
import type { RestBody } from '../../../api/oip/rest-message.ts'
import { anyTensor, comparable, parameterSets, tensorOf } from './tensors.ts'

const requestWith = (inputs: InferenceRequest['inputs'], binary = false): InferenceRequest => ({
  id: 'r1',
  parameters: binary ? { binary_data_output: true } : {},
  inputs,
  outputs: [],
})
const bodyOf = (body: RestBody) => Buffer.concat(body.chunks)
const headerOf = (body: RestBody) => (body.jsonLength === undefined ? undefined : String(body.jsonLength))
const overWire = (message: InferenceRequest, form: 'typed' | 'raw') => {
  const { requestSerialize, requestDeserialize } = GRPCInferenceService.service.ModelInfer
  return requestDeserialize(requestSerialize(toGrpcRequest(message, 'iris', form))) as ModelInferRequest__Output
}

describe.each(DATATYPES)('a %s tensor', (datatype) => {
  it('has the same bytes after decoding and encoding its elements', () => {
    fc.assert(
      fc.property(tensorOf(datatype), (tensor) => {
        expect([...encodeElements(tensor.name, datatype, decodeElements(tensor))]).toEqual([...tensor.bytes])
      }),
    )
  })

  it('survives REST in JSON and in binary form', () => {
    fc.assert(
      fc.property(fc.array(tensorOf(datatype), { maxLength: 3 }), fc.boolean(), (inputs, binary) => {
        const body = toRestRequest(requestWith(inputs), binary)
        const read = parseRestRequest(bodyOf(body), headerOf(body))
        expect(read.inputs.map(comparable)).toEqual(inputs.map(comparable))
      }),
    )
  })

  it('survives gRPC in typed and in raw form', () => {
    fc.assert(
      fc.property(fc.array(tensorOf(datatype), { maxLength: 3 }), fc.constantFrom('typed', 'raw'), (inputs, form) => {
        const read = fromGrpcRequest(overWire(requestWith(inputs), form))
        expect(read.inputs.map(comparable)).toEqual(inputs.map(comparable))
      }),
    )
  })
})

describe('a response', () => {
  it('survives REST and gRPC whatever its tensors and parameters', () => {
    const responses = fc.record({
      modelName: fc.string({ minLength: 1 }),
      modelVersion: fc.string(),
      id: fc.string(),
      parameters: parameterSets,
      outputs: fc.array(anyTensor, { maxLength: 4 }),
    })
    fc.assert(
      fc.property(responses, fc.boolean(), (response, binary) => {
        const expected = { ...response, outputs: response.outputs.map(comparable) }
        const body = toRestResponse(response, requestWith([], binary))
        const rest = parseRestResponse(bodyOf(body), headerOf(body))
        expect({ ...rest, outputs: rest.outputs.map(comparable) }).toEqual(expected)
        const { responseSerialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer
        const message = responseDeserialize(responseSerialize(toGrpcResponse(response, binary ? 'raw' : 'typed')))
        const grpc = fromGrpcResponse(message as ModelInferResponse__Output)
        expect({ ...grpc, outputs: grpc.outputs.map(comparable) }).toEqual(expected)
      }),
    )
  })

  it('sends an FP16 output raw, and with it all others, because FP16 has no typed contents', () => {
    const half = { name: 'h', datatype: 'FP16' as const, shape: [1], parameters: {}, bytes: Uint8Array.of(0, 0x3c) }
    const flag = { name: 'b', datatype: 'BOOL' as const, shape: [1], parameters: {}, bytes: Uint8Array.of(1) }
    const message = toGrpcResponse(
      { modelName: 'm_1', modelVersion: '1', id: '', parameters: {}, outputs: [half, flag] },
      'typed',
    )
    expect(message.rawOutputContents).toEqual([half.bytes, flag.bytes])
    expect(message.outputs?.map((output) => output.contents)).toEqual([undefined, undefined])
  })
})

describe('raw contents', () => {
  it('are passed on by reference', () => {
    const bytes = Buffer.from([1, 2, 3, 4])
    const tensor = { name: 'x', datatype: 'INT32', shape: ['1'], parameters: {}, contents: null }
    const read = fromGrpcRequest({
      modelName: 'm',
      modelVersion: '',
      id: '',
      parameters: {},
      inputs: [tensor],
      outputs: [],
      rawInputContents: [bytes],
    })
    expect(read.inputs[0]?.bytes).toBe(bytes)
    expect(toGrpcRequest(read, 'm', 'raw').rawInputContents?.[0]).toBe(bytes)
  })
})

describe('half precision', () => {
  it('reads and writes every one of its 65,536 values', () => {
    for (let bits = 0; bits <= 0xffff; bits += 1) {
      const value = fromHalfBits(bits)
      if (Number.isNaN(value)) expect(toHalfBits(value) & 0x7fff).toBeGreaterThan(0x7c00)
      else if (toHalfBits(value) !== bits) expect.fail(`${String(bits)} became ${String(toHalfBits(value))}`)
    }
  })

  it('rounds any double to the nearest half, ties to even', () => {
    const finite = Array.from({ length: 0x7c00 }, (_, bits) => fromHalfBits(bits))
    fc.assert(
      fc.property(fc.double({ min: 0, max: 65_519, noNaN: true }), (value) => {
        const bits = toHalfBits(value)
        const distance = Math.abs(fromHalfBits(bits) - value)
        for (const neighbour of [bits - 1, bits + 1]) {
          const other = finite[neighbour]
          if (other === undefined) continue
          const otherDistance = Math.abs(other - value)
          expect(distance < otherDistance || (distance === otherDistance && bits % 2 === 0)).toBe(true)
        }
      }),
      { numRuns: 1000 },
    )
  })

  it.each([
    [1.00048828125 + 2 ** -40, 0x3c01, 'just above a tie, where rounding through a float would meet the tie'],
    [1.00048828125, 0x3c00, 'a tie goes to the even neighbour'],
    [65_519.999, 0x7bff, 'the last value below the overflow'],
    [65_520, 0x7c00, 'the first value that overflows'],
    [2 ** -25, 0, 'half of the smallest subnormal'],
    [2 ** -25 + 2 ** -60, 1, 'just above it'],
    [-2, 0xc000, 'a negative value'],
  ])('%f is %i: %s', (value, bits) => {
    expect(toHalfBits(value)).toBe(bits)
  })
})
