import { describe, expect, it } from 'vitest'
import { compileFilter } from '../../support/compile-filter.ts'
import { ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { openStream, routedBy, runStream, type StreamResult } from '../../../wasm-filter/host/stream.ts'
import { concat, cut, field, frame, varint } from '../../support/grpc-frames.ts'

const host = new ProxyHost(compileFilter('router'))
host.configure('')

const headersOf = (method: string, ...extra: readonly Header[]): Header[] => [
  [':method', 'POST'],
  [':path', `/inference.GRPCInferenceService/${method}`],
  ['content-type', 'application/grpc'],
  ...extra,
]

function peek(chunks: readonly Uint8Array[], method = 'ModelInfer'): StreamResult {
  return runStream(host, { headers: headersOf(method), chunks })
}

const INVALID_ARGUMENT = 3
const input = field(5, Buffer.alloc(40, 7))
const name = field(1, 'iris')

describe('without a header, the model of the first message is the target', () => {
  it.each([
    ['first', concat(name, field(3, 'id'), input)],
    ['behind others', concat(field(3, 'id'), input, name)],
    [
      'behind every other wire type',
      concat(
        varint(9 * 8),
        varint(300),
        varint(10 * 8 + 1),
        Buffer.alloc(8),
        varint(11 * 8 + 5),
        Buffer.alloc(4),
        name,
      ),
    ],
    ['the last of several', concat(field(1, 'first'), input, name)],
    ['alone', name],
  ])('when its field is %s, however the frame is cut', (_, message) => {
    const bytes = frame(message)
    for (const sizes of [[bytes.length], [1], [5, 1], [3, 4], [6], [bytes.length - 1]]) {
      const result = peek(cut(bytes, ...sizes))
      expect(routedBy(result.headers)?.target).toBe('iris')
      expect(result.held).toBe(false)
      expect(result.body).toEqual(Buffer.from(bytes))
    }
  })

  it.each(['ModelInfer', 'ModelStreamInfer', 'ModelMetadata', 'ModelReady'])('in %s', (method) => {
    expect(routedBy(peek([frame(name)], method).headers)?.target).toBe('iris')
  })

  it('when a second message follows in the same chunk', () => {
    expect(routedBy(peek([concat(frame(name), frame(field(1, 'other')))]).headers)?.target).toBe('iris')
  })

  it('when the message is far longer than what is searched', () => {
    const bytes = frame(concat(name, field(7, Buffer.alloc(300_000))))
    const result = peek(cut(bytes, 16_384))
    expect(routedBy(result.headers)?.target).toBe('iris')
    expect(result.body).toEqual(Buffer.from(bytes))
  })

  it('before the rest of a long message has come', () => {
    const bytes = frame(concat(name, field(7, Buffer.alloc(300_000))))
    const stream = openStream(host, { headers: headersOf('ModelInfer'), chunks: [] })
    stream.push(bytes.subarray(0, 65_536), false)
    expect(stream.end().held).toBe(false)
  })
})

describe('what cannot be read gets a status that says what to do', () => {
  it.each<[string, Uint8Array]>([
    ['a compressed message', frame(name, 1)],
    ['a message without a name', frame(input)],
    ['an empty message', frame(Buffer.alloc(0))],
    ['an empty name', frame(field(1, ''))],
    ['a name behind 64 KiB', frame(concat(field(7, Buffer.alloc(70_000)), name))],
    ['a name cut by the end of the message', frame(concat(input, Buffer.from([0x0a, 9, 0x61])))],
    ['a varint without an end', frame(Buffer.alloc(32, 0xff))],
    ['field number 0', frame(Buffer.from([0x02, 1, 0x61]))],
    ['a group', frame(Buffer.from([0x0b, 0x0c]))],
    ['a field longer than any message', frame(concat(varint(7 * 8 + 2), Buffer.from([0xff, 0xff, 0xff, 0xff, 0x7f])))],
    ['a name longer than any', frame(field(1, 'a'.repeat(200)))],
    ['a stream that ends within the frame', Buffer.from([0, 0, 0])],
    ['a stream that ends within the message', frame(concat(name, input)).subarray(0, 12)],
  ])('%s', (_, bytes) => {
    for (const sizes of [[bytes.length], [1], [7, 3]]) {
      const result = peek(cut(bytes, ...sizes))
      expect(result.localReply).toMatchObject({ grpcStatus: INVALID_ARGUMENT })
      expect(result.localReply?.body).toContain('send the header seldon-model')
      expect(routedBy(result.headers)?.target).toBeUndefined()
      expect(result.body).toHaveLength(0)
    }
  })

  it('headers that end the call', () => {
    expect(runStream(host, { headers: headersOf('ModelInfer') }).localReply).toMatchObject({
      grpcStatus: INVALID_ARGUMENT,
    })
  })

  it.each(['../x', '_mesh', 'a\nb', 'a,b', 'a'.repeat(80)])('a name that is none: %j', (bad) => {
    const result = peek([frame(field(1, bad))])
    expect(result.localReply).toMatchObject({ grpcStatus: INVALID_ARGUMENT })
    expect(routedBy(result.headers)?.target).toBeUndefined()
  })
})

describe('what has a target already does not wait', () => {
  it.each([
    ['a call with the header', headersOf('ModelInfer', ['seldon-model', 'x'])],
    ['a server-level call', headersOf('ServerReady')],
  ])('%s', (_, headers) => {
    const stream = openStream(host, { headers, chunks: [] })
    expect(stream.end()).toMatchObject({ held: false, localReply: undefined })
    expect(runStream(host, { headers, chunks: [frame(Buffer.alloc(3, 0xff), 1)] }).passed).toHaveLength(1)
  })
})

it('what a client may not send is gone before the name is known', () => {
  const forged = headersOf(
    'ModelInfer',
    ['x-millrace-target', 'evil'],
    ['seldon-internal-model', 'evil_1'],
    ['content-length', '9'],
  )
  const stream = openStream(host, { headers: forged, chunks: [] })
  expect(stream.end()).toMatchObject({ held: true, headers: headersOf('ModelInfer') })
})

it('thousands of calls that wait at once each find their own name, and memory follows them back', () => {
  const open = (index: number) => {
    const bytes = frame(field(1, `m-${String(index)}`))
    const stream = openStream(host, { headers: headersOf('ModelInfer'), chunks: [] })
    stream.push(bytes.subarray(0, 6), false)
    return { stream, rest: bytes.subarray(6) }
  }
  const round = () => {
    const waiting = Array.from({ length: 3_000 }, (_, index) => open(index))
    // Every third goes away first, so that places are freed in the middle.
    waiting.forEach(({ stream }, index) => index % 3 === 0 && stream.end())
    waiting.forEach(({ stream, rest }, index) => {
      if (index % 3 === 0) return
      stream.push(rest, true)
      expect(routedBy(stream.end().headers)?.target).toBe(`m-${String(index)}`)
    })
  }
  round()
  const { memoryBytes } = host
  for (let i = 0; i < 5; i++) round()
  expect(host.memoryBytes).toBe(memoryBytes)
})
