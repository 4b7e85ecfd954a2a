import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ResponseReader } from '../../../dataflow/model-client/http1-response.ts'

const MAX_BYTES = 1_000

/** What the reader makes of bytes that come in these parts; the rest must not have been needed. */
function read(parts: readonly Buffer[]) {
  const reader = new ResponseReader(MAX_BYTES)
  for (const [index, part] of parts.entries()) {
    const lent = Buffer.from(part)
    const response = reader.feed(lent)
    lent.fill(0xff) // it is written over by the next read
    if (response !== undefined) return { response, unread: parts.length - 1 - index }
  }
  return undefined
}

const cut = (bytes: Buffer, cuts: readonly number[]): readonly Buffer[] => {
  const places = [0, ...cuts.map((place) => place % bytes.byteLength).toSorted((a, b) => a - b), bytes.byteLength]
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place))
}

const chunked = (body: Buffer, sizes: readonly number[]): Buffer => {
  const chunks = cut(body, sizes).filter(({ byteLength }) => byteLength > 0)
  return Buffer.concat(
    chunks.flatMap((chunk) => [Buffer.from(`${chunk.byteLength.toString(16)}\r\n`), chunk, Buffer.from('\r\n')]),
  )
}

const bodies = fc.uint8Array({ minLength: 1, maxLength: 200 }).map((bytes) => Buffer.from(bytes))
const places = fc.array(fc.nat({ max: 5_000 }), { maxLength: 8 })

test('a body in chunks, with trailers, is read however it comes', () => {
  fc.assert(
    fc.property(bodies, places, places, (body, sizes, cuts) => {
      const bytes = Buffer.concat([
        Buffer.from(
          'HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nX-Seldon-Route: :a_1:\r\nTransfer-Encoding: chunked\r\n\r\n',
        ),
        chunked(body, sizes),
        Buffer.from('0\r\ngrpc-status: 0\r\ngrpc-message:\r\nx-millrace-error-code: X\r\ngrpc-status: 1\r\n\r\n'),
      ])
      const { response, unread } = read(cut(bytes, cuts)) ?? {}
      expect(unread).toBe(0)
      expect(response).toMatchObject({ status: 200, body, isKept: true })
      expect(response?.headers).toMatchObject({ routes: [':a_1:'], grpcStatus: undefined })
      expect(response?.trailers).toMatchObject({ grpcStatus: '0', grpcMessage: '', errorCode: 'X', routes: [] })
    }),
  )
})

test('a body of known length is read however it comes, after a response that is none yet', () => {
  fc.assert(
    fc.property(bodies, places, (body, cuts) => {
      const head = `HTTP/1.1 503 No\r\nx-seldon-route: 1\r\nno field\r\nx-seldon-route: 2\r\ncontent-length: ${String(body.byteLength)}\r\nconnection: close\r\n\r\n`
      const bytes = Buffer.concat([Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${head}`), body])
      const { response, unread } = read(cut(bytes, cuts)) ?? {}
      expect(unread).toBe(0)
      expect(response).toMatchObject({ status: 503, body, isKept: false, headers: { routes: ['1', '2'] } })
      expect(response?.trailers.grpcStatus).toBeUndefined()
    }),
  )
})

test('what follows a response was not asked for: the connection is not used again', () => {
  const response = new ResponseReader(MAX_BYTES).feed(Buffer.from('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\nHTTP'))
  expect(response?.isKept).toBe(false)
})

test.each([
  ['SSH-2.0-OpenSSH_9.2\r\n\r\n', 'no HTTP/1.1 response'],
  ['HTTP/1.1 200 OK\r\n\r\n', 'how long it is'],
  ['HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n', 'no length'],
  [`HTTP/1.1 200 OK\r\n${'x'.repeat(70_000)}`, 'too large'],
])('%j is refused', (text, reason) => {
  expect(() => new ResponseReader(MAX_BYTES).feed(Buffer.from(text))).toThrow(reason)
})

test.each(['content-length: 1001\r\n\r\n1', `transfer-encoding: chunked\r\n\r\n3e9\r\n1`])(
  'a body over the bound is refused before it has come: %j',
  (rest) => {
    const reader = new ResponseReader(MAX_BYTES)
    expect(() => reader.feed(Buffer.from(`HTTP/1.1 200 OK\r\n${rest}`))).toThrow(RangeError)
  },
)
