import { expect, test } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import { decodeRequest, decodeResponse } from '../../../dataflow/journal/decode.ts'

const { requestSerialize, responseSerialize } = GRPCInferenceService.service.ModelInfer
const JSON_REQUEST = '{"inputs":[{"name":"A","datatype":"INT32","shape":[2],"data":[1,2]}]}'
const A = { name: 'A', datatype: 'INT32', shape: [2] }
const bytes = (numbers: readonly number[]) => Buffer.from(new Int32Array(numbers).buffer)

test('a request is read in protobuf, typed or raw, and in JSON', () => {
  const typed = requestSerialize({ inputs: [{ ...A, contents: { intContents: [1, 2] } }] })
  const raw = requestSerialize({ inputs: [A], rawInputContents: [bytes([1, 2])] })
  for (const value of [typed, raw, Buffer.from(JSON_REQUEST)]) {
    const [tensor] = decodeRequest({ value, headers: [] }).inputs
    expect(tensor).toMatchObject(A)
    expect(Buffer.from(tensor?.bytes ?? [])).toEqual(bytes([1, 2]))
  }
})

test('JSON that does not begin with its brace is told by the content type', () => {
  const value = Buffer.from(`\n${JSON_REQUEST}`)
  expect(decodeRequest({ value, headers: [['Content-Type', 'application/json; charset=utf-8']] }).inputs).toHaveLength(
    1,
  )
  expect(() => decodeRequest({ value, headers: [] })).toThrow(/without inputs/)
})

test.each([
  ['nothing', ''],
  ['text', 'hello'],
  ['half of JSON', '{"inputs":'],
])('%s is refused with a reason', (_, text) => {
  expect(() => decodeRequest({ value: Buffer.from(text), headers: [] })).toThrow(/./)
})

test('a response is read, and what is none refused', () => {
  const value = responseSerialize({ outputs: [A], rawOutputContents: [bytes([3, 4])] })
  expect(Buffer.from(decodeResponse(value).outputs[0]?.bytes ?? [])).toEqual(bytes([3, 4]))
  expect(() => decodeResponse(Buffer.from('a : failed'))).toThrow(/neither a response/)
})
