/** Joins by the clock: whatever takes how long, what is answered, and when. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { int32 } from './models.ts'
import { type Model, runPipeline } from './virtual-run.ts'

const DEADLINE_MS = 10_000
const NAMES = ['a', 'b', 'c', 'd']
const times = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 4 })
const models = Object.fromEntries(NAMES.map((name): [string, Model] => [name, () => [int32(name, [1])]]))

function run(stepsJoin: 'inner' | 'outer' | 'any', latencies: readonly number[], joinWindowMs?: number) {
  const names = NAMES.slice(0, latencies.length)
  const spec = {
    steps: names.map((name) => ({ name })),
    output: { steps: names, stepsJoin, ...(joinWindowMs === undefined ? {} : { joinWindowMs }) },
    timeoutMs: DEADLINE_MS,
  }
  const latencyMs = Object.fromEntries(names.map((name, index) => [name, latencies[index] ?? 0]))
  const { answer, failure, endedAtMs } = runPipeline(spec, [int32('x', [1])], { models, latencyMs })
  return { names: answer?.outputs.map(({ name }) => name), failed: failure?.kind, endedAtMs }
}
const namesAt = (latencies: readonly number[], isThere: (atMs: number) => boolean) =>
  NAMES.filter((_, index) => isThere(latencies[index] ?? Infinity))

it('outer answers once, when all are there or when the window of the first ends, with what is there', () => {
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 40 }), (latencies, windowMs) => {
      const [first, last] = [Math.min(...latencies), Math.max(...latencies)]
      expect(run('outer', latencies, windowMs)).toEqual({
        names: namesAt(latencies, (atMs) => atMs <= first + windowMs),
        failed: undefined,
        endedAtMs: Math.min(last, first + windowMs),
      })
    }),
  )
})

it('inner with a window answers when all are there within it, else fails when its first source has waited it out', () => {
  fc.assert(
    fc.property(times, fc.integer({ min: 1, max: 40 }), (latencies, windowMs) => {
      const [first, last] = [Math.min(...latencies), Math.max(...latencies)]
      expect(run('inner', latencies, windowMs)).toEqual(
        last - first <= windowMs
          ? { names: NAMES.slice(0, latencies.length), failed: undefined, endedAtMs: last }
          : { names: undefined, failed: 'noOutput', endedAtMs: first + windowMs + 1 },
      )
    }),
  )
})

it('inner without a window answers when all are there', () => {
  fc.assert(
    fc.property(times, (latencies) => {
      expect(run('inner', latencies)).toEqual({
        names: NAMES.slice(0, latencies.length),
        failed: undefined,
        endedAtMs: Math.max(...latencies),
      })
    }),
  )
})

it('any answers with the first', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 40 }), { minLength: 1, maxLength: 4 }), (latencies) => {
      const first = Math.min(...latencies)
      expect(run('any', latencies)).toEqual({
        names: namesAt(latencies, (atMs) => atMs === first),
        failed: undefined,
        endedAtMs: first,
      })
    }),
  )
})
