import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { cut, readAll } from './read-requests.ts'

const POST = 'POST /v2/models/m/infer HTTP/1.1\r\nhost: h\r\n'
const only = (text: string) => {
  const { requests, refusal, isPartial } = readAll([text])
  expect([requests.length, refusal, isPartial]).toEqual([1, undefined, false])
  return requests[0]
}

describe('what is read', () => {
  it('a head and a body in one piece', () => {
    const request = only(`${POST}Content-Length: 5\r\nX-Foo:  bar baz\t \r\nx-empty:\r\n\r\nhello`)
    expect(request).toEqual({
      head: {
        kind: 'head',
        method: 'POST',
        target: '/v2/models/m/infer',
        fields: [
          ['host', 'h'],
          ['content-length', '5'],
          ['x-foo', 'bar baz'],
          ['x-empty', ''],
        ],
        length: 5,
        isKept: true,
        isHttp10: false,
        expectsContinue: false,
      },
      body: 'hello',
    })
  })

  it('a request without a body, and several after each other, with empty lines between', () => {
    const { requests } = readAll([
      `\r\nGET /a HTTP/1.1\r\nhost: h\r\n\r\n\r\n${POST}content-length: 2\r\n\r\nhiHEAD /b HTTP/1.0\r\n\r\n`,
    ])
    expect(requests.map(({ head, body }) => [head.method, head.target, body])).toEqual([
      ['GET', '/a', ''],
      ['POST', '/v2/models/m/infer', 'hi'],
      ['HEAD', '/b', ''],
    ])
  })

  it('chunks, with extensions and trailers', () => {
    const chunks = '5;a=b\r\nhello\r\n00A\r\n, everyone\r\n0;last\r\nx-sum: 1\r\nx-more: 2\r\n\r\n'
    const request = only(`${POST}transfer-encoding: Chunked\r\n\r\n${chunks}`)
    expect([request?.head.length, request?.body]).toEqual([undefined, 'hello, everyone'])
  })

  it.each([
    ['HTTP/1.1', '', true],
    ['HTTP/1.1', 'connection: close\r\n', false],
    ['HTTP/1.1', 'Connection: Upgrade, Close\r\nupgrade: h2c\r\n', false],
    ['HTTP/1.1', 'connection: upgrade\r\nupgrade: h2c\r\n', true],
    ['HTTP/1.0', '', false],
    ['HTTP/1.0', 'connection: keep-alive\r\n', true],
  ])('%s with %j keeps the connection: %s', (version, line, isKept) => {
    expect(only(`GET / ${version}\r\nhost: h\r\n${line}\r\n`)?.head.isKept).toBe(isKept)
  })

  it('who waits for 100 Continue, which HTTP/1.0 does not know', () => {
    expect(only('GET / HTTP/1.1\r\nhost: h\r\nExpect: 100-Continue\r\n\r\n')?.head.expectsContinue).toBe(true)
    expect(only('GET / HTTP/1.0\r\nexpect: 100-continue\r\n\r\n')?.head.expectsContinue).toBe(false)
  })

  it('a value in latin1', () => {
    expect(only('GET / HTTP/1.1\r\nhost: h\r\nx-foo: \xff\xfe\r\n\r\n')?.head.fields).toContainEqual([
      'x-foo',
      '\xff\xfe',
    ])
  })
})

describe('what is refused', () => {
  const REFUSED: readonly (readonly [what: string, text: string, status?: number])[] = [
    ['no HTTP', 'hello\r\n\r\n'],
    ['binary data', '\x16\x03\x01\x02'],
    ['no version', 'GET /\r\n\r\n'],
    ['another version', 'GET / HTTP/2.0\r\nhost: h\r\n\r\n'],
    ['two spaces', 'GET  / HTTP/1.1\r\nhost: h\r\n\r\n'],
    ['a method that is none', 'G(T / HTTP/1.1\r\nhost: h\r\n\r\n'],
    ['a target with a tab', 'GET /\ta HTTP/1.1\r\nhost: h\r\n\r\n'],
    ['lines that end with LF alone', 'GET / HTTP/1.1\nhost: h\n\n'],
    ['one such line', 'GET / HTTP/1.1\r\nhost: h\nx-a: b\r\n\r\n'],
    ['a CR alone', 'GET / HTTP/1.1\r\nhost: h\rx-a: b\r\n\r\n'],
    ['a value that goes on in the next line', 'GET / HTTP/1.1\r\nhost: h\r\nx-a: b\r\n c\r\n\r\n'],
    ['a line without colon', 'GET / HTTP/1.1\r\nhost: h\r\nx-a\r\n\r\n'],
    ['a name with a space', 'GET / HTTP/1.1\r\nhost: h\r\nx-a : b\r\n\r\n'],
    ['no name', 'GET / HTTP/1.1\r\nhost: h\r\n: b\r\n\r\n'],
    ['a name beyond ASCII', 'GET / HTTP/1.1\r\nhost: h\r\nx-\xe9: b\r\n\r\n'],
    ['a control character in a value', 'GET / HTTP/1.1\r\nhost: h\r\nx-a: \x00\r\n\r\n'],
    ['no host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: h\r\nhost: h\r\n\r\n'],
    ['a length that is none', `${POST}content-length: 5x\r\n\r\nhello`],
    ['a negative length', `${POST}content-length: -5\r\n\r\n`],
    ['an empty length', `${POST}content-length:\r\n\r\n`],
    ['a length beyond all measure', `${POST}content-length: ${'9'.repeat(16)}\r\n\r\n`],
    ['two lengths', `${POST}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`],
    ['a list of lengths', `${POST}content-length: 5, 6\r\n\r\nhello`],
    ['a length and chunks', `${POST}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks and a length', `${POST}transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n0\r\n\r\n`],
    ['chunks twice', `${POST}transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['chunks in HTTP/1.0', 'POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n'],
    ['another coding', `${POST}transfer-encoding: gzip, chunked\r\n\r\n`, 501],
    ['another expectation', `${POST}expect: wonders\r\n\r\n`, 417],
    ['a chunk without a length', `${POST}transfer-encoding: chunked\r\n\r\n;a\r\n`],
    ['a chunk with a length that is none', `${POST}transfer-encoding: chunked\r\n\r\n5 \r\nhello\r\n`],
    ['a chunk beyond all measure', `${POST}transfer-encoding: chunked\r\n\r\n${'f'.repeat(9)}\r\n`],
    ['a chunk that is longer than it says', `${POST}transfer-encoding: chunked\r\n\r\n4\r\nhello\r\n`],
    ['an endless line of a chunk', `${POST}transfer-encoding: chunked\r\n\r\n5;${'a'.repeat(5_000)}`],
    ['a trailer that is none', `${POST}transfer-encoding: chunked\r\n\r\n0\r\nx y\r\n\r\n`],
    ['a head that is too large', `GET / HTTP/1.1\r\nhost: h\r\nx-a: ${'a'.repeat(65_536)}\r\n\r\n`, 431],
    ['a head that never ends', 'a'.repeat(65_537), 431],
  ]
  it.each(REFUSED.map(([what, text, status = 400]) => ({ what, text, status })))('$what', ({ text, status }) => {
    const { requests, refusal } = readAll([text])
    expect([requests, refusal?.status]).toEqual([[], status])
    expect(
      readAll(
        cut(
          text,
          Array.from({ length: text.length }, (_, at) => at),
        ),
      ).refusal?.status,
    ).toBe(status)
  })

  it('endless trailers', () => {
    const lines = 'x-a: b\r\n'.repeat(12_000)
    expect(readAll([`${POST}transfer-encoding: chunked\r\n\r\n0\r\n${lines}`]).refusal?.status).toBe(400)
  })
})

const name = fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,20}$/).map((text) => `x-${text}`)
const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]([\t -~\x80-\xff]{0,30}[\x21-\x7e\x80-\xff])?$/)
const target = fc.stringMatching(/^\/[!-~]{0,30}$/)
const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array).toString('latin1'))
const bodies = fc.oneof(
  fc.constant({ lines: '', sent: '', body: '' }),
  bytes.map((body) => ({ lines: `content-length: ${String(body.length)}\r\n`, sent: body, body })),
  fc.array(bytes, { maxLength: 4 }).map((chunks) => ({
    lines: 'transfer-encoding: chunked\r\n',
    sent: [...chunks.filter((chunk) => chunk !== ''), '']
      .map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}${chunk === '' ? '' : '\r\n'}`)
      .join('')
      .concat('\r\n'),
    body: chunks.join(''),
  })),
)
const requests = fc.array(
  fc
    .record({
      method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT'),
      target,
      fields: fc.array(fc.tuple(name, value), { maxLength: 6 }),
      body: bodies,
    })
    .map(({ method, target: path, fields, body }) => ({
      text: `${method} ${path} HTTP/1.1\r\nhost: h\r\n${fields.map(([a, b]) => `${a}: ${b}\r\n`).join('')}${body.lines}\r\n${body.sent}`,
      seen: { method, target: path, body: body.body, fields: fields.map(([a, b]) => [a.toLowerCase(), b]) },
    })),
  { minLength: 1, maxLength: 3 },
)
const places = fc.array(fc.nat({ max: 5_000 }), { maxLength: 12 })

test('whatever is sent is read as it is, however it is cut', () => {
  fc.assert(
    fc.property(requests, places, (asked, where) => {
      const read = readAll(cut(asked.map(({ text }) => text).join(''), where))
      expect([read.refusal, read.isPartial]).toEqual([undefined, false])
      expect(
        read.requests.map(({ head, body }) => ({
          method: head.method,
          target: head.target,
          body,
          fields: head.fields.filter(([known]) => known.startsWith('x-')),
        })),
      ).toEqual(asked.map(({ seen }) => seen))
    }),
  )
})

test('whatever is garbled is read the same however it is cut, and throws nothing', () => {
  const garble = fc.array(
    fc.tuple(fc.nat({ max: 5_000 }), fc.constantFrom('', '\r', '\n', '\r\n', ' ', ':', '\0', '9', 'a')),
    {
      maxLength: 4,
    },
  )
  fc.assert(
    fc.property(requests, garble, places, (asked, changes, where) => {
      let text = asked.map(({ text: one }) => one).join('')
      for (const [at, put] of changes) {
        const place = at % text.length
        text = text.slice(0, place) + put + text.slice(place + 1)
      }
      const [whole, pieces] = [readAll([text]), readAll(cut(text, where))]
      expect(pieces.requests).toEqual(whole.requests)
      expect(pieces.refusal?.status).toBe(whole.refusal?.status)
    }),
  )
})
