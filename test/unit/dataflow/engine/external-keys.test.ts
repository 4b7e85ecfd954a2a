/** What pipelines take from others, joined by request: windows by a clock of the test's own, bounds, duplicates. */
import { describe, expect, it } from 'vitest'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import { type Arrival, ExternalKeys, LATE_MS } from '../../../../dataflow/engine/external-keys.ts'
import { compile } from '../../../../dataflow/plan/compile.ts'
import { externalPlan, takenTopics } from '../../../../dataflow/plan/external.ts'
import { requestOf } from './kafka-in-memory.ts'

type Input = NonNullable<PipelineSpec['input']>
const INPUT: Input = { externalInputs: ['a', 'b'], tensorMap: { 'a.outputs.x': 'X' } }
const WINDOW_MS = 1_000

function planOf(input: Input) {
  const external = externalPlan(compile('p', 1, { steps: [{ name: 's' }], input, output: { steps: ['s'] } }))
  if (external === undefined) throw new Error('it takes from nobody')
  return external
}

function scene(input: Input, limits = { maxKeys: 100, maxBytes: 100_000 }) {
  let nowMs = 0
  const timers = new Set<{ readonly atMs: number; readonly work: () => void }>()
  const told: string[] = []
  const keys = new ExternalKeys<string>({
    limits,
    nowMs: () => nowMs,
    at: (atMs, work) => {
      const timer = { atMs, work }
      timers.add(timer)
      return () => void timers.delete(timer)
    },
    onJoined: ({ key, request, of }) => {
      told.push(`${key}: ${request.inputs.map(({ name }) => name).join('+')} of ${of.map(({ own }) => own).join()}`)
    },
    onEnded: (key, of, why) => {
      told.push(`${key}: ${why} ${of.map(({ own }) => own).join()}`)
    },
  })
  const external = planOf(input)
  const arrival = (key: string, from: string, name: string, timestampMs: number, own: string): Arrival<string> => {
    const { inputs } = requestOf(name)
    const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: inputs }
    const [place = 'unknown'] =
      [...external.edges].find(([, edge]) => edge.from.name === from || edge.from.end.name === from) ?? []
    return { key, place, timestampMs, bytes: 100, message: { kind: 'response', response }, own }
  }
  return {
    told,
    keys,
    timers,
    external,
    /** From pipeline `from`, with one tensor; `afterMs`: its time, when it is not now. */
    comes: (key: string, from: string, name = 'x', timestampMs = nowMs) => {
      keys.offer(external, arrival(key, from, name, timestampMs, `${from}@${String(nowMs)}`))
    },
    goTo: (ms: number) => {
      for (;;) {
        const next = [...timers].toSorted((one, other) => one.atMs - other.atMs)[0]
        if (next === undefined || next.atMs > ms) break
        nowMs = Math.max(nowMs, next.atMs)
        timers.delete(next)
        next.work()
      }
      nowMs = ms
    },
  }
}

describe('what comes from other pipelines', () => {
  it('is joined by key, whatever comes between, and renamed; the same once more is a duplicate', () => {
    const { told, comes, keys, timers } = scene(INPUT)
    comes('1', 'a')
    comes('2', 'b', 'y')
    comes('1', 'b', 'y')
    comes('1', 'a')
    comes('2', 'a')
    expect(told).toEqual(['1: X+y of a@0,b@0', '1: duplicate a@0', '2: X+y of b@0,a@0'])
    expect([keys.open, keys.bytes, timers.size]).toEqual([0, 0, 0])
  })

  it('36: of an inner join must be within the window by its own time, whenever it is read', () => {
    const { told, comes, goTo } = scene({ ...INPUT, joinWindowMs: WINDOW_MS })
    comes('near', 'a', 'x', 0)
    comes('far', 'a', 'x', 0)
    goTo(5_000) // the other topic is read late
    comes('near', 'b', 'y', WINDOW_MS)
    comes('far', 'b', 'y', WINDOW_MS + 1)
    goTo(WINDOW_MS + LATE_MS)
    expect(told).toEqual(['near: X+y of a@0,b@5000', 'far: late b@5000', 'far: expired a@0'])
  })

  it('37, 38: of an outer join is what is there at the end of the window, once', () => {
    const { told, comes, goTo } = scene({ ...INPUT, joinType: 'outer', joinWindowMs: WINDOW_MS })
    comes('both', 'b', 'y')
    comes('both', 'a')
    comes('alone', 'a')
    goTo(WINDOW_MS - 1)
    expect(told).toEqual(['both: X+y of b@0,a@0'])
    goTo(WINDOW_MS)
    comes('alone', 'b', 'y')
    expect(told.slice(1)).toEqual(['alone: X of a@0', 'alone: duplicate b@1000'])
  })

  it('39: of any join is the first alone', () => {
    const { told, comes } = scene({ ...INPUT, joinType: 'any' })
    comes('1', 'b', 'y')
    comes('1', 'a')
    expect(told).toEqual(['1: y of b@0', '1: duplicate a@0'])
  })

  it('44, 52: waits for its triggers, which carry no data and fire once', () => {
    const input: Input = { externalInputs: ['a'], externalTriggers: ['b', 'c'], triggersJoinType: 'any' }
    const { told, comes, goTo } = scene(input)
    comes('1', 'b', 'go')
    comes('1', 'c', 'go')
    comes('2', 'a')
    comes('1', 'a')
    expect(told).toEqual(['1: x of b@0,c@0,a@0'])
    goTo(60_000 + LATE_MS)
    expect(told.slice(1)).toEqual(['2: expired a@0'])
  })

  it('is bounded: beyond so many requests, or so many bytes, the oldest is given up', () => {
    const few = scene(INPUT, { maxKeys: 2, maxBytes: 100_000 })
    for (const key of ['1', '2', '3']) few.comes(key, 'a')
    expect([few.told, few.keys.open]).toEqual([['1: overflow a@0'], 2])
    const small = scene(INPUT, { maxKeys: 100, maxBytes: 250 })
    for (const key of ['1', '2', '3']) small.comes(key, 'a')
    expect([small.told, small.keys.bytes]).toEqual([['1: overflow a@0'], 200])
  })

  it('is not given again when it was given by who read before, for as long as it may come again', () => {
    const { told, keys, comes, goTo } = scene({ ...INPUT, joinType: 'any' }, { maxKeys: 2, maxBytes: 1_000 })
    for (const key of ['forgotten', 'old', 'new']) keys.given(key, 500)
    for (const key of ['new', 'old', 'forgotten']) comes(key, 'a')
    expect(told).toEqual(['new: duplicate a@0', 'old: duplicate a@0', 'forgotten: X of a@0'])
    goTo(501)
    comes('new', 'a')
    expect(told.at(-1)).toBe('new: X of a@501')
  })

  it('goes on with the plan that it began with; what that does not know is nothing to it', () => {
    const { told, keys, comes, external } = scene(INPUT)
    comes('1', 'a')
    const other = planOf({ externalInputs: ['b', 'c'] })
    const place = (from: string, of = other): string =>
      [...of.edges].find(([, edge]) => edge.from.end.name === from)?.[0] ?? ''
    const [{ inputs }, at] = [requestOf('z'), { key: '1', timestampMs: 0, bytes: 1 }]
    const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: inputs }
    const message = { kind: 'response', response } as const
    keys.offer(other, { ...at, place: place('c'), message, own: 'c' })
    keys.offer(other, { ...at, place: place('b'), message, own: 'b' })
    expect(told).toEqual(['1: late c', '1: X+z of a@0,b'])
    expect(place('b')).toBe(place('b', external))
  })

  it('is forgotten when somebody else reads', () => {
    const { told, keys, comes, timers } = scene({ ...INPUT, joinType: 'outer' })
    comes('1', 'a')
    keys.close()
    expect([told, keys.open, keys.bytes, timers.size]).toEqual([[], 0, 0, 0])
  })
})

describe('the topics that a pipeline takes from', () => {
  it('are each read once: of a model those records that belong to the named pipelines', () => {
    const external = planOf({
      externalInputs: ['a', 'a.outputs.x', 'a.step.s', 'b.step.s.outputs'],
      externalTriggers: ['a.inputs.go'],
    })
    expect([...takenTopics(external)]).toEqual([
      [{ kind: 'pipeline', name: 'a', side: 'outputs' }, undefined],
      [{ kind: 'model', name: 's', side: 'outputs' }, new Set(['a', 'b'])],
      [{ kind: 'pipeline', name: 'a', side: 'inputs' }, undefined],
    ])
    expect(externalPlan(compile('p', 1, { steps: [{ name: 's' }], output: { steps: ['s'] } }))).toBeUndefined()
  })
})
