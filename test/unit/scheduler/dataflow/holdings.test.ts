import { describe, expect, it } from 'vitest'
import { createHoldings } from '../../../../scheduler/dataflow/holdings.ts'
import { aPipelineVersion, pipelineWith } from '../../../support/pipelines.ts'

const serving = (name: string, uid: string) =>
  pipelineWith(name, { versions: [{ ...aPipelineVersion(1), uid }], serving: 1 })

describe('what a gateway said', () => {
  it('counts the serving versions that it lacks, and those that it has not answered for', () => {
    const holdings = createHoldings(['a'])
    holdings.follow('p', serving('p', 'a'))
    holdings.follow('q', serving('q', 'b'))
    holdings.follow('r', pipelineWith('r')) // nothing of it serves
    expect([holdings.missing(), holdings.unanswered()]).toEqual([1, 1])
    holdings.failed('q', 'b', 'no broker', 0)
    holdings.follow('q', serving('q', 'b'))
    expect([holdings.missing(), holdings.unanswered()]).toEqual([1, 0])
    holdings.follow('q', undefined)
    expect([holdings.missing(), holdings.unanswered()]).toEqual([0, 0])
  })

  it('asks again for a load that failed, later each time, ten times in all', () => {
    const holdings = createHoldings([])
    let nowMs = 0
    for (const [index, delayMs] of [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1_000).entries()) {
      holdings.asked('p', ['a'], nowMs)
      holdings.failed('p', 'a', `no broker ${String(index)}`, nowMs)
      expect(holdings.said('a')).toEqual({ kind: 'failed', reason: `no broker ${String(index)}`, retrying: true })
      expect(holdings.due(nowMs + delayMs - 1)).toEqual([])
      nowMs += delayMs
      expect(holdings.due(nowMs)).toEqual([{ kind: 'load', pipeline: 'p', uid: 'a' }])
    }
    holdings.asked('p', ['a'], nowMs)
    holdings.failed('p', 'a', 'no broker', nowMs)
    expect(holdings.said('a')).toEqual({ kind: 'failed', reason: 'no broker', retrying: false })
    expect(holdings.due(nowMs + 10_000_000)).toEqual([])
  })

  it('takes silence for a failure', () => {
    const holdings = createHoldings([])
    holdings.asked('p', ['a'], 0)
    expect(holdings.due(59_999)).toEqual([])
    expect(holdings.due(60_000)).toEqual([{ kind: 'changed', pipeline: 'p' }])
    expect(holdings.said('a')).toMatchObject({ kind: 'failed', reason: 'no answer in 60 s', retrying: true })
    expect(holdings.due(61_000)).toEqual([{ kind: 'load', pipeline: 'p', uid: 'a' }])
  })

  it('knows how far it is with unloading, every version counted', () => {
    const holdings = createHoldings([])
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'asked' })
    holdings.unloading('p', [1, 2], 'unload')
    expect(holdings.unloaded('p', 1, undefined, 0)).toBe(true)
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'asked' })
    expect(holdings.unloaded('p', 2, 'no broker', 0)).toBe(true)
    expect(holdings.unload('p', 'unload')).toEqual({ kind: 'failed', reason: 'no broker' })
    expect(holdings.due(999)).toEqual([])
    expect(holdings.due(1_000)).toEqual([{ kind: 'unload', pipeline: 'p' }])
    holdings.unloading('p', [2], 'unload')
    expect(holdings.unloaded('p', 2, undefined, 0)).toBe(true)
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'unloaded' })
    expect(holdings.unloaded('q', 1, undefined, 0)).toBe(false)
  })
  it('does not take the unloading for the deletion of topics that comes after it', () => {
    const holdings = createHoldings([])
    holdings.unloading('p', [1], 'unload')
    holdings.unloaded('p', 1, undefined, 0)
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'unloaded' })
    expect(holdings.unload('p', 'clean')).toMatchObject({ kind: 'asked' })
    holdings.unloading('p', [1], 'clean')
    expect(holdings.unload('p', 'clean')).toMatchObject({ kind: 'asked' })
    holdings.unloaded('p', 1, undefined, 0)
    expect(holdings.unload('p', 'clean')).toMatchObject({ kind: 'unloaded' })
  })

  it('asks again to delete topics with pauses that grow up to five minutes, without end', () => {
    const holdings = createHoldings([])
    const pauses: number[] = []
    for (let failures = 0; failures < 12; failures += 1) {
      holdings.unloading('p', [1], 'clean')
      holdings.unloaded('p', 1, 'no broker', 0)
      const due = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300].find((seconds) => holdings.due(seconds * 1_000).length > 0)
      pauses.push(due ?? 0)
    }
    expect(pauses).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
  })

  it('gives a load up that the pipeline is to blame for, and never one that may pass', () => {
    const holdings = createHoldings([])
    for (let attempt = 0; attempt < 10; attempt += 1) holdings.asked('p', ['a', 'b'], 0)
    holdings.failed('p', 'a', 'no such step', 0)
    holdings.failed('p', 'b', 'Kafka is away', 0, true)
    expect(holdings.said('a')).toMatchObject({ kind: 'failed', retrying: false })
    expect(holdings.said('b')).toMatchObject({ kind: 'failed', retrying: true })
    expect(holdings.due(60_000)).toEqual([{ kind: 'load', pipeline: 'p', uid: 'b' }])
  })

  it('does not take the end of one deletion for that of a later one', () => {
    const holdings = createHoldings([])
    holdings.unloading('p', [1], 'unload')
    holdings.unloaded('p', 1, undefined, 0)
    holdings.follow('p', pipelineWith('p', { deleted: true, unloading: true }))
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'unloaded' })
    holdings.follow('p', pipelineWith('p')) // applied again
    expect(holdings.unload('p', 'unload')).toMatchObject({ kind: 'asked' })
  })
})
