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
    expect(holdings.unload('p')).toMatchObject({ kind: 'asked' })
    holdings.unloading('p', [1, 2])
    expect(holdings.unloaded('p', 1, undefined, 0)).toBe(true)
    expect(holdings.unload('p')).toMatchObject({ kind: 'asked' })
    expect(holdings.unloaded('p', 2, 'no broker', 0)).toBe(true)
    expect(holdings.unload('p')).toEqual({ kind: 'failed', reason: 'no broker' })
    expect(holdings.due(10_000)).toEqual([{ kind: 'unload', pipeline: 'p' }])
    holdings.unloading('p', [2])
    expect(holdings.unloaded('p', 2, undefined, 0)).toBe(true)
    expect(holdings.unload('p')).toMatchObject({ kind: 'unloaded' })
    expect(holdings.unloaded('q', 1, undefined, 0)).toBe(false)
  })
  it('does not take the end of one deletion for that of a later one', () => {
    const holdings = createHoldings([])
    holdings.unloading('p', [1])
    holdings.unloaded('p', 1, undefined, 0)
    holdings.follow('p', pipelineWith('p', { deleted: true, unloading: true }))
    expect(holdings.unload('p')).toMatchObject({ kind: 'unloaded' })
    holdings.follow('p', pipelineWith('p')) // applied again
    expect(holdings.unload('p')).toMatchObject({ kind: 'asked' })
  })
})
