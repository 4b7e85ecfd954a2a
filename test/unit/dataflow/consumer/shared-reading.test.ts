/** Many subscribers of one topic: what each is given, how often the topic is read, what is committed. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ServingError } from '../../../../kit/errors.ts'
import { aReading, aTopic, TOPIC } from './shared-scene.ts'

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `p${String(index)}`)
const only = (pipeline: string): ReadonlySet<string> => new Set([pipeline])

/** Counts who is asked whether it takes a record. */
class Asked extends Set<string> {
  times = 0
  override has(value: string): boolean {
    this.times += 1
    return super.has(value)
  }
}

describe('topics that many read', () => {
  it('are read once: each subscriber is given its own records, and nobody else is asked', async () => {
    const topic = aTopic()
    const reading = aReading(topic)
    const pipelines = names(200)
    const asked = pipelines.map((name) => new Asked([name]))
    for (const [index, name] of pipelines.entries()) await reading.subscribe(name, asked[index])
    await reading.subscribe('all', undefined)
    for (const name of pipelines) reading.give(topic.put(name))
    reading.give(topic.put('nobody'))
    expect(pipelines.map((name) => reading.offsets(name))).toEqual(pipelines.map((_, index) => [index]))
    expect(reading.offsets('all')).toHaveLength(201)
    expect(asked.map(({ times }) => times)).toEqual(pipelines.map(() => 1))
    expect([await reading.reads('shared'), await reading.reads('alone')]).toEqual([201, 0])
    await reading.shared.stop(1_000)
    expect(new Set(topic.commits.values())).toEqual(new Set([201n])) // what was nothing for it as well
  })

  it('begin for a new group at the present end, which is committed at once, and for others where their commit is', async () => {
    const topic = aTopic()
    for (const name of ['p', 'q', 'p', 'q']) topic.put(name)
    topic.commits.set('p', 1n)
    const reading = aReading(topic)
    await reading.subscribe('q', only('q'))
    expect(topic.commits.get('q')).toBe(4n)
    await reading.subscribe('p', only('p'))
    await topic.untilCommitted('p', 4)
    reading.give(topic.put('p'))
    expect([reading.offsets('q'), reading.offsets('p')]).toEqual([[], [2, 4]])
    await topic.untilCommitted('p', 5)
    expect(await reading.reads('alone')).toBe(3)
    await reading.shared.stop(1_000)
  })

  it('are read alone by who is slow, until it is where the others are: it holds up nobody', async () => {
    const topic = aTopic()
    const reading = aReading(topic, { maxInFlight: 2 })
    await reading.subscribe('slow', only('p'), false)
    await reading.subscribe('fast', only('p'))
    for (let count = 0; count < 10; count += 1) expect(reading.give(topic.put('p'))).toBe(true)
    expect([reading.offsets('slow'), reading.offsets('fast').length]).toEqual([[0, 1], 10])
    expect(reading.shared.lag()).toEqual(new Map([['slow', 10], ['fast', 0]])) // prettier-ignore
    for (let count = 0; count < 10; count += 1) {
      await reading.untilTaken('slow', count + 1)
      expect(reading.taken('slow').length).toBeLessThanOrEqual(count + 2)
      reading.taken('slow')[count]?.done()
    }
    await topic.untilCommitted('slow', 10)
    reading.give(topic.put('p'))
    expect(reading.offsets('slow')).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    await reading.shared.stop(0)
    expect([topic.commits.get('slow'), topic.commits.get('fast')]).toEqual([10n, 11n]) // the last was not done
  })

  it('give too much in all to nobody: beyond the bound each holds one record', async () => {
    const topic = aTopic()
    const reading = aReading(topic, { maxHeldBytes: 300 }) // a record counts as about 230
    await reading.subscribe('a', undefined, false)
    await reading.subscribe('b', undefined, false)
    for (let count = 0; count < 3; count += 1) reading.give(topic.put('p'))
    expect([reading.offsets('a'), reading.offsets('b')]).toEqual([[0], [0]])
    reading.taken('a')[0]?.done()
    await reading.untilTaken('a', 2)
    reading.taken('b')[0]?.done()
    await reading.untilTaken('b', 2)
    await reading.shared.stop(0)
  })

  it('are given again to who comes after, from the first record that was not done', async () => {
    const topic = aTopic()
    const first = aReading(topic)
    await first.subscribe('p', undefined, false)
    for (let count = 0; count < 3; count += 1) first.give(topic.put('p'))
    first.taken('p')[0]?.done()
    first.taken('p')[2]?.done()
    await first.shared.unsubscribe(TOPIC, 'p', 0)
    expect(topic.commits.get('p')).toBe(1n)
    first.taken('p')[1]?.done() // too late to be committed
    await first.shared.stop(0)
    expect(topic.commits.get('p')).toBe(1n)
    const second = aReading(topic)
    await second.subscribe('p', undefined)
    await second.untilTaken('p', 2)
    expect(second.offsets('p')).toEqual([1, 2])
    await second.shared.stop(1_000)
  })

  it('are waited for by who leaves, as long as it may', async () => {
    const topic = aTopic()
    const reading = aReading(topic)
    await reading.subscribe('p', undefined, false)
    reading.give(topic.put('p'))
    const left = reading.shared.unsubscribe(TOPIC, 'p', 60_000)
    reading.give(topic.put('p'))
    expect(reading.offsets('p')).toEqual([0])
    reading.taken('p')[0]?.done()
    await left
    expect(topic.commits.get('p')).toBe(1n)
    await reading.subscribe('p', undefined) // the same again
    await reading.untilTaken('p', 2)
    await reading.shared.stop(0)
  })

  it('may be gone, or be made anew, while somebody is behind', async () => {
    const topic = aTopic()
    for (let count = 0; count < 6; count += 1) topic.put('p')
    topic.commits.set('p', 1n)
    topic.commits.set('stale', 99n)
    topic.cut(4)
    const reading = aReading(topic)
    await reading.subscribe('p', undefined)
    await reading.untilTaken('p', 2)
    await reading.subscribe('stale', undefined) // of a topic that was deleted since
    await reading.untilTaken('stale', 2)
    reading.give(topic.put('p'))
    for (const group of ['p', 'stale']) await reading.untilTaken(group, 3)
    expect([reading.offsets('p'), reading.offsets('stale')]).toEqual([[4, 5, 6], [4, 5, 6]]) // prettier-ignore
    topic.remake()
    topic.cut(0)
    reading.give(topic.put('p'))
    reading.give(topic.put('p'))
    expect(reading.offsets('p')).toEqual([4, 5, 6, 0, 1])
    await topic.untilCommitted('p', 2)
    await reading.shared.stop(0)
  })

  it('are committed again when Kafka refused it', async () => {
    const topic = aTopic()
    const reading = aReading(topic)
    await reading.subscribe('p', undefined)
    topic.failCommits(new ServingError('KAFKA_UNAVAILABLE', 'away'))
    reading.give(topic.put('p'))
    await new Promise((resolve) => setImmediate(resolve))
    topic.failCommits(undefined)
    await topic.untilCommitted('p', 1)
    await reading.shared.stop(0)
  })

  it('lose nothing and give nothing twice, whatever is slow', async () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('put' as const), pipeline: fc.constantFrom('a', 'b', 'c') }),
      fc.record({ kind: fc.constant('done' as const), group: fc.constantFrom('a', 'b', 'all') }),
      fc.record({ kind: fc.constant('turn' as const) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const topic = aTopic()
        const reading = aReading(topic, { maxInFlight: 2 })
        const groups = { a: only('a'), b: only('b'), all: undefined }
        for (const [group, takes] of Object.entries(groups)) await reading.subscribe(group, takes, false)
        const put: string[] = []
        const doneTo: Record<string, number> = { a: 0, b: 0, all: 0 }
        const doneNext = (group: string): void => {
          const next = doneTo[group] ?? 0
          const found = reading.taken(group)[next]
          if (found === undefined) return
          doneTo[group] = next + 1
          found.done()
        }
        for (const one of steps) {
          if (one.kind === 'put') {
            put.push(one.pipeline)
            reading.give(topic.put(one.pipeline))
          } else if (one.kind === 'done') doneNext(one.group)
          else await new Promise((resolve) => setImmediate(resolve))
        }
        for (const [group, takes] of Object.entries(groups)) {
          const own = [...put.keys()].filter((offset) => takes === undefined || takes.has(put[offset] ?? ''))
          for (let count = 0; count < own.length; count += 1) {
            await reading.untilTaken(group, count + 1)
            while ((doneTo[group] ?? 0) <= count) doneNext(group)
          }
          expect(reading.offsets(group)).toEqual(own)
        }
        await reading.shared.stop(1_000)
        for (const group of Object.keys(groups)) {
          const commit = Number(topic.commits.get(group))
          const isOwn = (pipeline: string): boolean => group === 'all' || group === pipeline
          expect(put.slice(commit).some(isOwn)).toBe(false)
        }
      }),
      { numRuns: 60 },
    )
  })
})
