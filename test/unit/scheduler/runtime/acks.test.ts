import { describe, expect, test } from 'vitest'
import type { NodeAck } from '../../../../scheduler/domain/store.ts'
import { countingAcks } from '../../../../scheduler/loop/acks.ts'

const ack = (node: string, ackedRevision: number, silent = false): NodeAck => ({
  node,
  scheduler: 's',
  ackedRevision,
  silent,
})

describe('nodes that count (I2)', () => {
  test('are those of every scheduler', () => {
    expect(countingAcks([ack('a', 1)], [ack('b', 2)])).toEqual([ack('a', 1), ack('b', 2)])
  })
  test('are not those that are silent', () => {
    expect(countingAcks([ack('a', 1, true)], [ack('b', 2, true), ack('c', 3)])).toEqual([ack('c', 3)])
  })
  test('count once when they moved here: the board may still show them elsewhere', () => {
    expect(countingAcks([ack('a', 5)], [ack('a', 1)])).toEqual([ack('a', 5)])
  })
})
