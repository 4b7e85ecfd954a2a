import { describe, expect, it } from 'vitest'
import { GRPCInferenceService } from '../../../api/grpc.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { openStream, runStream, type StreamResult, valueOf } from '../../../wasm-filter/host/stream.ts'
import { concat, cut, field, frame, parseFrames } from '../../support/grpc-frames.ts'

const host = new ProxyHost(compileFilter('rename-grpc'))
const HEADERS: readonly Header[] = [
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  ['content-type', 'application/grpc'],
  ['content-length', '99'],
  ['seldon-internal-model', 'iris_3'],
]

const rename = (...chunks: readonly Uint8Array[]): StreamResult => runStream(host, { headers: HEADERS, chunks })
const decode = (bytes: Uint8Array) => GRPCInferenceService.service.ModelInfer.requestDeserialize(Buffer.from(bytes))
const decodeReady = (bytes: Uint8Array) =>
  GRPCInferenceService.service.ModelReady.requestDeserialize(Buffer.from(bytes))

const input = field(5, concat(field(1, 'x'), field(2, 'FP32')))
const inferRequest = concat(field(1, 'iris'), field(2, '7'), field(3, 'id-1'), input)

describe('a message', () => {
  it.each([
    ['as clients write it', inferRequest],
    ['with its name at the end', concat(field(3, 'id-1'), input, field(2, '7'), field(1, 'iris'))],
    ['with its name twice', concat(field(1, 'a'), field(3, 'id-1'), input, field(1, 'b'), field(2, '7'))],
    ['without a name', concat(field(3, 'id-1'), input)],
  ])('%s reaches the server with the internal name and no version, however it is cut', (_, message) => {
    const bytes = frame(message)
    for (const sizes of [[bytes.length], [1], [5], [4, 1], [2, 9], [bytes.length - 1]]) {
      const [renamed, ...others] = parseFrames(rename(...cut(bytes, ...sizes)).body)
      expect(others).toEqual([])
      expect(decode(renamed ?? Buffer.alloc(0))).toMatchObject({
        modelName: 'iris_3',
        modelVersion: '',
        id: 'id-1',
        inputs: [{ name: 'x', datatype: 'FP32' }],
      })
    }
  })

  it('of ModelReady and ModelMetadata is renamed by the same two fields', () => {
    const [renamed] = parseFrames(rename(frame(concat(field(1, 'iris'), field(2, '7')))).body)
    expect(decodeReady(renamed ?? Buffer.alloc(0))).toEqual({ name: 'iris_3', version: '' })
  })

  it('that is empty gets the name too', () => {
    const [renamed] = parseFrames(rename(frame(Buffer.alloc(0))).body)
    expect(decodeReady(renamed ?? Buffer.alloc(0))).toEqual({ name: 'iris_3', version: '' })
  })
})

describe('a stream', () => {
  const messages = Array.from({ length: 40 }, (_, index) =>
    concat(field(1, 'iris'), field(3, `id-${String(index)}`), field(7, Buffer.alloc(index * 37))),
  )
  const bytes = concat(...messages.map((message) => frame(message)))

  it.each([[[bytes.length]], [[1]], [[4]], [[777]], [[16_384]], [[5, 1_000, 3]]])(
    'has every message renamed, cut into %j',
    (sizes) => {
      const renamed = parseFrames(rename(...cut(bytes, ...sizes)).body).map(decode)
      expect(renamed.map((message) => message?.id)).toEqual(messages.map((_, index) => `id-${String(index)}`))
      expect(new Set(renamed.map((message) => message?.modelName))).toEqual(new Set(['iris_3']))
    },
  )

  it('of nothing but empty messages is renamed in bounded pieces', () => {
    const empties = Buffer.alloc(5 * 40_000)
    const renamed = parseFrames(rename(empties).body)
    expect(renamed).toHaveLength(40_000)
    expect(new Set(renamed.map((message) => Buffer.from(message).toString('latin1'))).size).toBe(1)
  })
})

describe('a large message', () => {
  it.each([3_000_000, 100_000_000])('of %i bytes passes chunk by chunk, and the VM keeps none of it', (size) => {
    const small = new ProxyHost(compileFilter('rename-grpc'))
    const message = concat(field(1, 'iris'), field(7, Buffer.alloc(size)))
    const chunks = cut(frame(message), 65_536)
    const stream = openStream(small, { headers: HEADERS, chunks: [] })
    const before = small.memoryBytes
    let passed = 0
    for (const [index, chunk] of chunks.entries()) {
      stream.push(chunk, index === chunks.length - 1)
      passed += small.body.length
    }
    expect(small.memoryBytes).toBe(before)
    expect(passed).toBe(frame(message).length + 'iris_3'.length + 4)
    expect(stream.end().localReply).toBeUndefined()
  })
})

it('a compressed message gets a status that says so', () => {
  for (const bytes of [frame(inferRequest, 1), concat(frame(inferRequest), frame(inferRequest, 1))]) {
    for (const size of [bytes.length, 1, 3])
      expect(rename(...cut(bytes, size)).localReply).toMatchObject({
        grpcStatus: 12,
        body: expect.stringContaining('uncompressed'),
      })
  }
  expect(rename(frame(Buffer.alloc(40_000), 1).subarray(0, 30_000)).localReply).toMatchObject({ grpcStatus: 12 })
})

it('a frame that could not be longer is refused', () => {
  const bytes = Buffer.alloc(20_000, 0xff)
  bytes[0] = 0
  expect(rename(bytes).localReply).toMatchObject({ grpcStatus: 12 })
  expect(rename(...cut(bytes.subarray(0, 8), 1)).localReply).toMatchObject({ grpcStatus: 12 })
})

it('content-length goes, since the message gets longer', () => {
  expect(valueOf(rename(frame(inferRequest)).headers, 'content-length')).toBeUndefined()
})

it('without an internal name, or with one that is none, nothing is changed', () => {
  for (const internal of [undefined, '../x', 'a'.repeat(100)]) {
    const headers = HEADERS.filter(([name]) => name !== 'seldon-internal-model')
    if (internal !== undefined) headers.push(['seldon-internal-model', internal])
    const result = runStream(host, { headers, chunks: [frame(inferRequest)] })
    expect(result.body).toEqual(Buffer.from(frame(inferRequest)))
    expect(result.headers).toEqual(headers)
  }
})
