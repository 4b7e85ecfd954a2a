import { describe, expect, it } from 'vitest'
import {
  joinPayloads,
  type Payload,
  select,
  toPayload,
  toRequest,
  toResponse,
} from '../../../dataflow/executor/payload.ts'
import { validTensor } from '../oip/valid-tensor.ts'

const x = validTensor('x', 'INT32', [2], [1, 2])
const y = validTensor('y', 'FP32', [1], [0.5])
const z = validTensor('z', 'BYTES', [1], ['z'])
const payload: Payload = { id: 'r1', parameters: { a: 1n }, tensors: [x, y, z] }
const names = (...given: string[]) => ({ tensors: new Set(given), renames: new Map<string, string>() })

describe('turning an answer into the next request', () => {
  it('keeps id, parameters and tensors and drops model name and version', () => {
    const response = { modelName: 'iris_1', modelVersion: '1', id: 'r1', parameters: { a: 1n }, outputs: [x] }
    expect(toRequest(toPayload({ kind: 'response', response }))).toEqual({
      kind: 'request',
      request: { id: 'r1', parameters: { a: 1n }, inputs: [x], outputs: [] },
    })
  })

  it('drops the outputs that a request asked for', () => {
    const request = { id: '', parameters: {}, inputs: [x], outputs: [{ name: 'o', parameters: {} }] }
    expect(toRequest(toPayload({ kind: 'request', request })).request.outputs).toEqual([])
    expect(toResponse(toPayload({ kind: 'request', request })).response).toEqual({
      modelName: '',
      modelVersion: '',
      id: '',
      parameters: {},
      outputs: [x],
    })
  })

  it('passes tensors on by reference', () => {
    const request = { id: '', parameters: {}, inputs: [x], outputs: [] }
    expect(toRequest(toPayload({ kind: 'request', request })).request.inputs[0]).toBe(x)
  })
})

describe('selecting', () => {
  it("takes those that are there, in the message's order", () => {
    expect(select(names('z', 'x', 'missing'), payload)?.tensors).toEqual([x, z])
  })

  it('of no tensor that is there gives nothing', () => {
    expect(select(names('missing'), payload)).toBeUndefined()
  })

  it('everything of a message without tensors gives nothing', () => {
    expect(select({ tensors: undefined, renames: new Map() }, { ...payload, tensors: [] })).toBeUndefined()
  })

  it('renames without touching the bytes', () => {
    const taken = select({ tensors: undefined, renames: new Map([['y', 'w']]) }, payload)
    expect(taken?.tensors.map(({ name }) => name)).toEqual(['x', 'w', 'z'])
    expect(taken?.tensors[1]?.bytes).toBe(y.bytes)
  })

  it('keeps duplicate names', () => {
    expect(select(names('x'), { ...payload, tensors: [x, y, x] })?.tensors).toEqual([x, x])
  })
})

it('joining takes id and parameters from the left and every tensor, duplicate names kept', () => {
  const right: Payload = { id: 'r2', parameters: { b: true }, tensors: [x, z] }
  expect(joinPayloads([payload, right])).toEqual({ id: 'r1', parameters: { a: 1n }, tensors: [x, y, z, x, z] })
})
