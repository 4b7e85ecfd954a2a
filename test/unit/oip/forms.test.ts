/**
 * A pipeline takes a request in one form, speaks to its models in another and answers in a third: REST with JSON or bytes, gRPC
 * with typed or raw contents. Whatever way a tensor takes, it arrives as it was.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import type { ModelInferRequest__Output } from '../../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse__Output } from '../../../api/generated/inference/ModelInferResponse.ts'
import { DATATYPES, type Datatype, elementBytes } from '../../../api/oip/datatype.ts'
import { decodeElements } from '../../../api/oip/elements.ts'
import { fromGrpcRequest, fromGrpcResponse, toGrpcRequest, toGrpcResponse } from '../../../api/oip/grpc-inference.ts'
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import type { RestBody } from '../../../api/oip/rest-message.ts'
import { parseRestRequest, toRestRequest } from '../../../api/oip/rest-request.ts'
import { parseRestResponse, toRestResponse } from '../../../api/oip/rest-response.ts'
import { joinBytesElements, type Tensor } from '../../../api/oip/tensor.ts'
import { comparable, tensorOf } from './tensors.ts'
import { validTensor } from './valid-tensor.ts'

const requestOf = (inputs: readonly Tensor[]): InferenceRequest => ({ id: 'r', parameters: {}, inputs, outputs: [] })
const read = (body: RestBody) => [Buffer.concat(body.chunks), body.jsonLength?.toString()] as const

/** A request over the wire, in each form. */
const WAYS = {
  json: (request: InferenceRequest) => parseRestRequest(...read(toRestRequest(request))),
  binary: (request: InferenceRequest) => parseRestRequest(...read(toRestRequest(request, true))),
  typed: (request: InferenceRequest) => overGrpc(request, 'typed'),
  raw: (request: InferenceRequest) => overGrpc(request, 'raw'),
}
function overGrpc(request: InferenceRequest, form: 'typed' | 'raw'): InferenceRequest {
  const { requestSerialize, requestDeserialize } = GRPCInferenceService.service.ModelInfer
  return fromGrpcRequest(
    requestDeserialize(requestSerialize(toGrpcRequest(request, 'm', form))) as ModelInferRequest__Output,
  )
}

/** Any bits at all: NaN of every kind, infinities, negative zero; bytes that are no text. */
const anyBits = (datatype: Datatype): fc.Arbitrary<Tensor> =>
  fc.integer({ min: 0, max: 5 }).chain((count) => {
    const size = elementBytes(datatype)
    const bytes =
      size === undefined
        ? fc.array(fc.uint8Array({ maxLength: 9 }), { minLength: count, maxLength: count }).map(joinBytesElements)
        : fc.uint8Array({
            minLength: count * size,
            maxLength: count * size,
            ...(datatype === 'BOOL' ? { max: 1 } : {}),
          })
    return bytes.map((all) => ({ name: 'x', datatype, shape: [count], parameters: {}, bytes: all }))
  })

describe.each(DATATYPES)('a %s tensor', (datatype) => {
  it('takes any way through all forms and arrives as it was', () => {
    const ways = fc.array(fc.constantFrom('json', 'binary', 'typed', 'raw'), { minLength: 1, maxLength: 6 })
    fc.assert(
      fc.property(tensorOf(datatype), ways, (tensor, forms) => {
        const arrived = forms.reduce((request, form) => WAYS[form](request), requestOf([tensor]))
        expect(arrived.inputs.map(comparable)).toEqual([comparable(tensor)])
      }),
      { numRuns: 50 },
    )
  })

  it('of any bits passes through the forms that hold bytes unchanged', () => {
    fc.assert(
      fc.property(anyBits(datatype), (tensor) => {
        for (const form of ['binary', 'raw'] as const)
          expect(WAYS[form](requestOf([tensor])).inputs.map(comparable)).toEqual([comparable(tensor)])
        const [typed] = WAYS.typed(requestOf([tensor])).inputs
        expect(typed && decodeElements(typed)).toEqual(decodeElements(tensor))
        const response = { modelName: 'm', modelVersion: '1', id: '', parameters: {}, outputs: [tensor] }
        const asked = { ...requestOf([]), parameters: { binary_data_output: true } }
        const answered = parseRestResponse(...read(toRestResponse(response, asked)))
        expect(answered.outputs.map(comparable)).toEqual([comparable(tensor)])
        const { responseSerialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer
        const message = responseDeserialize(responseSerialize(toGrpcResponse(response, 'raw')))
        expect(fromGrpcResponse(message as ModelInferResponse__Output).outputs.map(comparable)).toEqual([
          comparable(tensor),
        ])
      }),
      { numRuns: 50 },
    )
  })
})

/** By the numbers of the reference's cases; its own behaviour where it is another. */
describe('cases of the reference', () => {
  const parse = (body: unknown) => parseRestRequest(Buffer.from(JSON.stringify(body)))
  const input = (datatype: string, shape: readonly number[], data: unknown) => ({
    inputs: [{ name: 'x', datatype, shape, data }],
  })
  const elements = (body: unknown) => parse(body).inputs.map(decodeElements)

  it('11: a parameter 3.3 stays 3.3 (there 3), an object is refused', () => {
    expect(parse({ inputs: [], parameters: { a: 3.3, b: 3 } }).parameters).toEqual({ a: 3.3, b: 3n })
    expect(() => parse({ inputs: [], parameters: { a: { bar: 2 } } })).toThrow('parameter "a" of the request')
  })

  it('12: nested data is flattened', () => {
    expect(elements(input('INT32', [2, 2], [[1, 2], [3, 4]]))).toEqual([[1, 2, 3, 4]]) // prettier-ignore
  })

  it('13, 14: data that is shorter than its shape is refused (there padded with zeros)', () => {
    expect(() => parse(input('FP32', [4], [1, 2]))).toThrow('data has 2 elements, shape [4] has 4')
    expect(() => parse(input('BOOL', [500], [true, true, true, true, true]))).toThrow('shape [500] has 500')
  })

  const answer = (datatype: string, shape: readonly string[], raw: readonly Buffer[]) =>
    fromGrpcResponse({
      modelName: '',
      modelVersion: '',
      id: '',
      parameters: {},
      outputs: [{ name: 'y', datatype, shape: [...shape], parameters: {}, contents: null }],
      rawOutputContents: [...raw],
    })
  const json = (response: ReturnType<typeof answer>): unknown =>
    JSON.parse(Buffer.concat(toRestResponse(response, requestOf([])).chunks).toString())

  it('15: raw contents become JSON data; more of them than outputs are refused', () => {
    const hundred = Buffer.alloc(8)
    hundred.writeBigUInt64LE(100n)
    expect(json(answer('UINT64', ['1'], [hundred]))).toMatchObject({ outputs: [{ data: [100] }] })
    const words = Buffer.from(joinBytesElements([Buffer.from('hello'), Buffer.from('there')]))
    expect(json(answer('BYTES', ['2'], [words]))).toMatchObject({ outputs: [{ data: ['hello', 'there'] }] })
    expect(() => answer('UINT64', ['1'], [hundred, hundred])).toThrow('1 tensors (y) but 2 raw contents')
  })

  it('16: BYTES are text in JSON, whatever their content type (there base64 unless it says text)', () => {
    const cat = Buffer.from(joinBytesElements([Buffer.from('cat')]))
    expect(json(answer('BYTES', ['1'], [cat]))).toMatchObject({ outputs: [{ data: ['cat'] }] })
  })

  it.each([
    ['INT8', [-1, 127]],
    ['UINT16', [1, 65_535]],
    ['FP16', [0.5, -2]],
  ] as const)('17: raw %s is decoded (there an error)', (datatype, values) => {
    const { bytes } = validTensor('y', datatype, [2], values)
    expect(json(answer(datatype, ['2'], [Buffer.from(bytes)]))).toMatchObject({ outputs: [{ data: values }] })
  })

  it('64-bit integers beyond 2^53 keep every digit (there they lose the last)', () => {
    const body = Buffer.from('{"inputs":[{"name":"x","datatype":"INT64","shape":[1],"data":[9007199254740993]}]}')
    const request = parseRestRequest(body)
    expect(request.inputs.map(decodeElements)).toEqual([[9007199254740993n]])
    expect(Buffer.concat(toRestRequest(WAYS.typed(request)).chunks).toString()).toContain('"data":[9007199254740993]')
  })
})
