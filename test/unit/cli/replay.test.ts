import { describe, expect, it } from 'vitest'
import { isWanted, toAgain } from '../../../cli/replay/again.ts'
import { parseTimeMs } from '../../../cli/replay/time.ts'
import type { IncomingRecord } from '../../../dataflow/kafka/client.ts'

const recordOf = (headers: IncomingRecord['headers'] = [], timestampMs = 1_000): IncomingRecord => ({
  topic: 'seldon.default.pipeline.p.inputs',
  partition: 2,
  offset: 7n,
  key: '2.p.r',
  rawKey: Buffer.from('2.p.r'),
  value: Buffer.from('x'),
  headers: [['pipeline', 'p'], ['x-request-id', 'r'], ...headers],
  timestampMs,
})
const wanted = { fromMs: 1_000, toMs: 2_000, requestId: undefined }

describe('an input', () => {
  it('is fed again as a request of its own, which names the first and belongs to no gateway', () => {
    const record = recordOf([
      ['x-millrace-gateway', 'g/1'],
      ['X-Pipeline-Version', '3'],
      ['x-team', 'a'],
      ['x-team', 'b'],
    ])
    expect(toAgain(record, 'p', 'new')).toEqual({
      topic: 'seldon.default.pipeline.p.inputs',
      partition: 2,
      key: '2.p.new',
      value: record.value,
      headers: [
        ['pipeline', 'p'],
        ['x-team', 'a'],
        ['x-team', 'b'],
        ['x-request-id', 'new'],
        ['x-millrace-replay-of', '2.p.r'],
      ],
    })
  })

  it.each([
    [recordOf([], 999), wanted, false],
    [recordOf([], 1_000), wanted, true],
    [recordOf([], 2_000), wanted, false],
    [recordOf([['x-millrace-replay-of', '2.p.q']]), wanted, false],
    [recordOf(), { ...wanted, requestId: 'r' }, true],
    [recordOf(), { ...wanted, requestId: '2.p.r' }, true],
    [recordOf(), { ...wanted, requestId: 's' }, false],
  ])('is wanted by its time and id, unless it was fed again itself (%#)', (record, of, is) => {
    expect(isWanted(record, of)).toBe(is)
  })
})

describe('a time', () => {
  it.each([
    ['2026-11-22T20:00:00Z', Date.UTC(2026, 10, 22, 20)],
    ['2026-11-22T20:00+01:00', Date.UTC(2026, 10, 22, 19)],
    ['2026-11-22', Date.UTC(2026, 10, 22)],
    ['10m', 1_000_000 - 600_000],
  ])('%s', (text, ms) => {
    expect(parseTimeMs(text, '--from', 1_000_000)).toBe(ms)
  })

  it.each(['', 'yesterday', '2026-13-01', '2026-11-22T20:00:00', '20:00'])('%j is none', (text) => {
    expect(() => parseTimeMs(text, '--from', 0)).toThrow(/--from .*write a time as/)
  })
})
