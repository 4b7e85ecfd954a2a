import { expect, test } from 'vitest'
import { identify } from '../../../../dataflow/engine/identity.ts'
import type { IncomingRecord } from '../../../../dataflow/kafka/client.ts'

const record = (fields: Partial<IncomingRecord>): IncomingRecord => ({
  topic: 't',
  partition: 2,
  offset: 7n,
  key: '',
  rawKey: null,
  value: Buffer.alloc(0),
  headers: [],
  timestampMs: 36 * 36,
  ...fields,
})

test('a key of our form is kept, with its partition and id', () => {
  expect(identify(record({ key: '1.p.some.id' }), 'p', 4)).toEqual({
    key: '1.p.some.id',
    partition: 1,
    requestId: 'some.id',
    headers: [],
    marks: [],
  })
})

test.each(['order-17', '1.q.id', '1.p.', 'x.p.id', '1.p', '7'])(
  'of the key %j one of ours is made, the same each time',
  (key) => {
    const first = identify(record({ key }), 'p', 4)
    expect(first).toEqual(identify(record({ key }), 'p', 4))
    expect(first).toMatchObject({ key: '2.p.100-2-7', partition: 2, requestId: '100-2-7' })
    expect(first.marks).toEqual([['x-millrace-key', key]])
  },
)

test('what repeats another request names that one wherever it goes', () => {
  const headers = [['x-millrace-replay-of', '0.p.first']] as const
  expect(identify(record({ key: '1.p.again', headers }), 'p', 4)).toMatchObject({ marks: headers, headers: [] })
  expect(identify(record({ key: 'mine', headers }), 'p', 4).marks).toEqual([['x-millrace-key', 'mine'], ...headers])
})

test('without a key there is nothing to repeat, and two records are two requests', () => {
  const one = identify(record({}), 'p', 4)
  expect(one.marks).toEqual([])
  expect(identify(record({ offset: 8n }), 'p', 4).key).not.toBe(one.key)
})

test('a partition that other topics have not is the last one', () => {
  expect(identify(record({ partition: 9 }), 'p', 4)).toMatchObject({ partition: 3, key: '3.p.100-9-7' })
})

test('the headers of the user go along, the marks of Millrace and of one hop do not', () => {
  const headers = [
    ['X-Foo', 'a'],
    ['content-type', 'application/json'],
    ['x-millrace-replayed', '1'],
    ['x-request-id', 'mine'],
  ] as const
  const { requestId, headers: passed, key } = identify(record({ headers }), 'p', 4)
  expect(requestId).toBe('mine')
  expect(passed).toEqual([['x-foo', 'a']])
  expect(key).toBe('2.p.100-2-7')
})

test('what came from another pipeline keeps its key, its id and the key that a user gave', () => {
  const headers = [
    ['x-millrace-fed-from', 'q'],
    ['x-millrace-key', 'order-17'],
    ['x-millrace-replayed', '1'],
    ['x-millrace-gate', 'other'],
    ['x-foo', 'a'],
  ] as const
  expect(identify(record({ key: '1.q.some.id', partition: 1, headers }), 'p', 4)).toEqual({
    key: '1.q.some.id',
    partition: 1,
    requestId: 'some.id',
    headers: [['x-foo', 'a']],
    marks: headers.slice(0, 3),
  })
  expect(identify(record({ key: 'any', headers }), 'p', 4)).toMatchObject({
    key: 'any',
    partition: 2,
    requestId: 'any',
  })
})
