import { describe, expect, it } from 'vitest'
import type { GrpcTensorRead } from '../../../api/oip/grpc-tensor.ts'
import { fromGrpcTensors } from '../../../api/oip/grpc-tensor.ts'
import { parseJson } from '../../../api/oip/json.ts'
import { decodeElements } from '../../../api/oip/elements.ts'
import type { ModelMetadata } from '../../../api/oip/metadata.ts'
import { parseRestRequest } from '../../../api/oip/rest-request.ts'
import { toRestResponse } from '../../../api/oip/rest-response.ts'
import { validTensor } from './valid-tensor.ts'
import { checkRequest } from '../../../api/oip/validate.ts'
import { ServingError } from '../../../kit/errors.ts'

const thrownBy = (work: () => unknown): ServingError => {
  try {
    work()
  } catch (error) {
    if (error instanceof ServingError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
const restRequest = (inputs: string, jsonLength?: string, tail: number[] = []) =>
  parseRestRequest(Buffer.concat([Buffer.from(`{"inputs":[${inputs}]}`), Buffer.from(tail)]), jsonLength)

describe('a REST request is refused, naming the tensor, when', () => {
  const tensor = (rest: string) => `{"name":"x",${rest}}`
  it.each([
    ['it has no datatype', tensor('"shape":[1],"data":[1]'), 'tensor "x": datatype missing is none of BOOL'],
    ['its datatype is unknown', tensor('"datatype":"FP8","shape":[1],"data":[1]'), 'datatype "FP8" is none of'],
    ['it has no shape', tensor('"datatype":"FP32","data":[1]'), 'shape must be a list'],
    ['a dimension is negative', tensor('"datatype":"FP32","shape":[-1],"data":[1]'), 'shape [-1]: dimensions must be'],
    ['a dimension is a fraction', tensor('"datatype":"FP32","shape":[1.5],"data":[1]'), 'shape [1.5]'],
    ['a dimension is a string', tensor('"datatype":"FP32","shape":["1"],"data":[1]'), 'dimensions must be whole'],
    ['its shape is absurd', tensor('"datatype":"FP32","shape":[9007199254740991,2],"data":[1]'), 'too many elements'],
    [
      'it has too few elements',
      tensor('"datatype":"FP32","shape":[2,2],"data":[1,2,3]'),
      'data has 3 elements, shape [2,2] has 4',
    ],
    ['it has too many', tensor('"datatype":"FP32","shape":[],"data":[1,2]'), 'data has 2 elements, shape [] has 1'],
    [
      'it is nested unlike its shape',
      tensor('"datatype":"FP32","shape":[2,2],"data":[[1,2,3],[4]]'),
      'not nested as shape [2,2] says',
    ],
    ['it is nested too deeply', tensor('"datatype":"FP32","shape":[1],"data":[[1]]'), 'element 0 is a list'],
    ['data is no list', tensor('"datatype":"FP32","shape":[1],"data":1'), 'data of tensor "x" must be a list'],
    ['it has no data', tensor('"datatype":"FP32","shape":[1]'), 'neither data nor the parameter binary_data_size'],
    [
      'an element is a string',
      tensor('"datatype":"FP32","shape":[1],"data":["1"]'),
      'element 0 is "1", must be a number',
    ],
    [
      'an element is an object',
      tensor('"datatype":"BYTES","shape":[1],"data":[{}]'),
      'element 0 is an object, must be a string',
    ],
    ['an element is null', tensor('"datatype":"FP32","shape":[2],"data":[1,null]'), 'element 1 is null'],
    ['an element is NaN', tensor('"datatype":"FP32","shape":[2],"data":[1,NaN]'), 'tensor "x": element 1 is null (NaN'],
    ['an element is -Infinity', tensor('"datatype":"FP64","shape":[1],"data":[-Infinity]'), 'tensor "x": element 0'],
    [
      'an element is beyond any double',
      tensor('"datatype":"FP64","shape":[1],"data":[1e999]'),
      'element 0 is Infinity',
    ],
    [
      'an element is beyond FP32',
      tensor('"datatype":"FP32","shape":[1],"data":[3.5e38]'),
      'must be a number of at most 3.4',
    ],
    ['an element is beyond FP16', tensor('"datatype":"FP16","shape":[1],"data":[65520]'), 'at most 65504'],
    [
      'an element is beyond INT8',
      tensor('"datatype":"INT8","shape":[2],"data":[127,128]'),
      'element 1 is 128, must be an integer from -128 to 127',
    ],
    [
      'an element is below UINT64',
      tensor('"datatype":"UINT64","shape":[1],"data":[-1]'),
      'from 0 to 18446744073709551615',
    ],
    [
      'an element is beyond INT64',
      tensor('"datatype":"INT64","shape":[1],"data":[9223372036854775808]'),
      'element 0 is 9223372036854775808',
    ],
    [
      'a big integer has lost digits',
      tensor('"datatype":"INT64","shape":[1],"data":[1.0000000000000002e18]'),
      'written in digits',
    ],
    ['an integer is a fraction', tensor('"datatype":"INT32","shape":[1],"data":[1.5]'), 'element 0 is 1.5'],
    ['a BOOL is 2', tensor('"datatype":"BOOL","shape":[1],"data":[2]'), 'must be true, false, 1 or 0'],
    ['BYTES is a number', tensor('"datatype":"BYTES","shape":[1],"data":[12345678901234567890]'), 'must be a string'],
  ])('%s', (_, input, message) => {
    const error = thrownBy(() => restRequest(input))
    expect(error.message).toContain(message)
    expect(error.message).toContain('"x"')
    expect(error.httpStatus).toBe(400)
  })

  const binary = (size: unknown) =>
    `{"name":"x","datatype":"FP32","shape":[1],"parameters":{"binary_data_size":${JSON.stringify(size)}}}`
  const lengthOf = (input: string) => String(Buffer.byteLength(`{"inputs":[${input}]}`))
  it.each([
    ['its binary size does not fit its shape', binary(3), [1, 2, 3], 'has 3 bytes, must have 4 bytes for shape [1]'],
    ['its binary size is beyond the body', binary(4), [1], 'binary_data_size is 4, but 1 bytes are left'],
    ['its binary size is negative', binary(-4), [1, 2, 3, 4], 'binary_data_size -4 must be'],
    ['its binary size is text', binary('4'), [1, 2, 3, 4], 'binary_data_size 4 must be'],
    ['bytes are left over', binary(4), [1, 2, 3, 4, 5], '1 bytes at the end of the body belong to no tensor'],
  ])('%s', (_, input, tail, message) => {
    expect(thrownBy(() => restRequest(input, lengthOf(input), tail)).message).toContain(message)
  })

  it('has both data and a binary size', () => {
    const input = '{"name":"x","datatype":"INT8","shape":[1],"data":[1],"parameters":{"binary_data_size":1}}'
    expect(thrownBy(() => restRequest(input)).message).toContain('both data and binary_data_size')
  })

  it('its BYTES elements reach beyond their bytes', () => {
    const input = '{"name":"x","datatype":"BYTES","shape":[1],"parameters":{"binary_data_size":5}}'
    expect(thrownBy(() => restRequest(input, lengthOf(input), [9, 0, 0, 0, 65])).message).toContain(
      'element 0 reaches beyond the 5 bytes',
    )
  })
})

describe('a REST body is refused when', () => {
  it.each([
    ['{', 'the body is not JSON'],
    ['[]', 'the body must be a JSON object'],
    ['{"inputs":{}}', 'inputs must be a list'],
    ['{"inputs":[1]}', 'inputs[0] must be a JSON object'],
    ['{"inputs":[{}]}', 'inputs[0] has no name'],
    ['{"inputs":[],"id":{}}', 'id must be a string'],
    ['{"inputs":[],"parameters":[]}', 'parameters of the request must be an object'],
    ['{"inputs":[],"parameters":{"a":{"b":1}}}', 'parameter "a" of the request must be a string'],
    ['{"inputs":[],"outputs":[{}]}', 'outputs[0] has no name'],
  ])('it is %s', (body, message) => {
    expect(thrownBy(() => parseRestRequest(Buffer.from(body))).message).toContain(message)
  })

  it.each(['-1', 'ten', '99', ''])('its JSON length is %j', (header) => {
    expect(thrownBy(() => parseRestRequest(Buffer.from('{"inputs":[]}'), header)).message).toContain(
      'Inference-Header-Content-Length',
    )
  })
})

describe('JSON numbers', () => {
  it.each([
    ['9007199254740993', 9007199254740993n],
    ['-9223372036854775808', -9223372036854775808n],
    ['18446744073709551615', 18446744073709551615n],
    ['9007199254740991', 9007199254740991],
    ['0.12345678901234568', 0.12345678901234568],
    ['1234567890123456768.5', 1234567890123456768],
    ['1e20', 1e20],
  ])('%s is read exactly', (text, value) => {
    expect(parseJson(`[${text}]`)).toEqual([value])
  })

  it('in strings stay strings, beside NaN and big integers', () => {
    expect(parseJson('["NaN 12345678901234567890", NaN, "-Infinity\\"NaN", 12345678901234567890]')).toEqual([
      'NaN 12345678901234567890',
      null,
      '-Infinity"NaN',
      12345678901234567890n,
    ])
  })

  it('with a leading zero are no numbers', () => {
    expect(thrownBy(() => parseJson('[01234567890123456789]')).message).toContain('the body is not JSON')
  })
})

describe('a gRPC tensor is refused, naming it, when', () => {
  const contents = {
    boolContents: [],
    intContents: [],
    int64Contents: [],
    uintContents: [],
    uint64Contents: [],
    fp32Contents: [],
    fp64Contents: [],
    bytesContents: [],
  }
  const x: GrpcTensorRead = { name: 'x', datatype: 'FP32', shape: ['1'], parameters: {}, contents: null }
  const cases: [string, GrpcTensorRead[], Buffer[], string][] = [
    ['it has no name', [{ ...x, name: '' }], [], 'tensor 0 of the message has no name'],
    ['its datatype is unknown', [{ ...x, datatype: 'FP8' }], [], 'datatype "FP8" is none of'],
    ['a dimension is negative', [{ ...x, shape: ['-1'] }], [Buffer.alloc(4)], 'shape [-1]'],
    ['it has no contents', [x], [], 'contents have 0 elements, its shape has 1'],
    [
      'the wrong field is filled',
      [{ ...x, contents: { ...contents, fp64Contents: [1] } }],
      [],
      'FP32 belongs in fp32Contents, but fp64Contents is filled',
    ],
    [
      'an element does not fit',
      [{ ...x, datatype: 'UINT8', contents: { ...contents, uintContents: [256] } }],
      [],
      'element 0 is 256',
    ],
    [
      'FP16 is typed',
      [{ ...x, datatype: 'FP16', contents: { ...contents, fp32Contents: [1] } }],
      [],
      'FP16 has no typed contents',
    ],
    [
      'it is typed in a raw message',
      [{ ...x, contents: { ...contents, fp32Contents: [1] } }],
      [Buffer.alloc(4)],
      'typed contents in a message with raw contents',
    ],
    ['its raw contents are too short', [x], [Buffer.alloc(3)], 'has 3 bytes, must have 4 bytes'],
    ['raw contents are missing', [x, { ...x, name: 'y' }], [Buffer.alloc(4)], '2 tensors (x, y) but 1 raw contents'],
    [
      'BYTES has too many elements',
      [{ ...x, datatype: 'BYTES' }],
      [Buffer.alloc(8)],
      'has 2 elements, its shape has 1',
    ],
    ['a BYTES length is cut off', [{ ...x, datatype: 'BYTES' }], [Buffer.alloc(3)], 'reaches beyond the 3 bytes'],
  ]
  it.each(cases)('%s', (_, tensors, raw, message) => {
    const error = thrownBy(() => fromGrpcTensors(tensors, raw))
    expect(error.message).toContain(message)
    expect(error.grpcStatus).toBe(3)
  })

  it('but NaN is a value like any other', () => {
    const [tensor] = fromGrpcTensors([{ ...x, contents: { ...contents, fp32Contents: [NaN] } }], [])
    expect(tensor && decodeElements(tensor)).toEqual([NaN])
  })
})

describe('a REST answer that JSON cannot hold is refused, naming the output and the way out', () => {
  const response = (tensor: ReturnType<typeof validTensor>) => ({
    modelName: 'm_1',
    modelVersion: '1',
    id: '',
    parameters: {},
    outputs: [tensor],
  })
  const request = { id: '', parameters: {}, inputs: [], outputs: [] }
  it.each([
    ['NaN', validTensor('y', 'FP32', [1], [NaN]), 'tensor "y": element 0 is NaN'],
    ['bytes that are not UTF-8', validTensor('y', 'BYTES', [1], [Uint8Array.of(0xff)]), 'tensor "y": is not UTF-8'],
  ])('%s', (_, tensor, message) => {
    expect(thrownBy(() => toRestResponse(response(tensor), request)).message).toContain(message)
    const asBytes = { ...request, outputs: [{ name: 'y', parameters: { binary_data: true } }] }
    expect(toRestResponse(response(tensor), asBytes).chunks[1]).toBe(tensor.bytes)
  })
})

describe('a request is checked against the metadata', () => {
  const metadata: ModelMetadata = {
    name: 'iris_1',
    versions: ['1'],
    platform: 'onnx',
    inputs: [
      { name: 'predict', datatype: 'FP32', shape: [-1, 4], parameters: {} },
      { name: 'mask', datatype: 'BOOL', shape: [1], parameters: {} },
    ],
    outputs: [{ name: 'label', datatype: 'INT64', shape: [-1], parameters: {} }],
    parameters: {},
  }
  const predict = validTensor('predict', 'FP32', [1, 4], [1, 2, 3, 4])
  const mask = validTensor('mask', 'BOOL', [1], [true])
  const request = { id: '', parameters: {}, inputs: [predict, mask], outputs: [] }

  it('and passes when all fits', () => {
    expect(() => {
      checkRequest(request, metadata)
    }).not.toThrow()
  })

  it('and every problem is listed at once', () => {
    const error = thrownBy(() => {
      checkRequest(
        {
          ...request,
          inputs: [validTensor('predict', 'FP64', [1, 4], [1, 2, 3, 4]), validTensor('other', 'BOOL', [1], [true])],
          outputs: [
            { name: 'label', parameters: {} },
            { name: 'label', parameters: {} },
            { name: 'logits', parameters: {} },
          ],
        },
        metadata,
      )
    })
    expect(error.issues).toEqual([
      { path: 'input "predict"', message: 'is FP64, must be FP32' },
      { path: 'input "other"', message: 'is unknown; the model takes "predict", "mask"' },
      { path: 'input "mask"', message: 'is missing; send BOOL [1]' },
      { path: 'output "label"', message: 'is asked for twice' },
      { path: 'output "logits"', message: 'is unknown; the model gives "label"' },
    ])
  })

  it.each([
    [validTensor('predict', 'FP32', [4], [1, 2, 3, 4]), 'has shape [4], must be [-1,4] (-1 is any size)'],
    [validTensor('predict', 'FP32', [1, 3], [1, 2, 3]), 'has shape [1,3], must be [-1,4] (-1 is any size)'],
  ])('and a wrong shape is refused', (tensor, message) => {
    const error = thrownBy(() => {
      checkRequest({ ...request, inputs: [tensor, mask] }, metadata)
    })
    expect(error.issues).toEqual([{ path: 'input "predict"', message }])
  })

  it('and an input sent twice is refused', () => {
    const error = thrownBy(() => {
      checkRequest({ ...request, inputs: [predict, mask, mask] }, metadata)
    })
    expect(error.message).toContain('input "mask": is sent twice')
  })
})
