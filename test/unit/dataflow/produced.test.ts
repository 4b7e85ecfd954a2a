/** What brokers answer to what was produced, and the deadline of a producer. */
import { produceV9, Reader, Writer } from '@platformatic/kafka'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { Deadline } from '../../../dataflow/kafka/deadline.ts'
import { readProduced } from '../../../dataflow/kafka/produced.ts'

interface Partition {
  readonly partition: number
  readonly errorCode: number
  readonly errorMessage: string | null
  readonly recordErrors: readonly string[]
}
interface Topic {
  readonly topic: string
  readonly partitions: readonly Partition[]
}

function answerOf(topics: readonly Topic[]): Buffer {
  const writer = Writer.create().appendArray([...topics], (all, { topic, partitions }) => {
    all
      .appendString(topic)
      .appendArray([...partitions], (some, { partition, errorCode, errorMessage, recordErrors }) => {
        some.appendInt32(partition).appendInt16(errorCode).appendInt64(5n).appendInt64(-1n).appendInt64(0n)
        some.appendArray([...recordErrors], (errors, text) => {
          errors.appendInt32(0).appendString(text)
        })
        some.appendString(errorMessage)
      })
  })
  return writer.appendInt32(0).appendTaggedFields().buffer
}
const read = (bytes: Buffer) => readProduced(1, 0, 9, Reader.from(bytes))
const told = (topics: readonly Topic[]) =>
  topics.flatMap(({ topic, partitions }) =>
    partitions.map(({ partition, errorCode, errorMessage }) => ({ topic, partition, errorCode, errorMessage })),
  )

const partitionOf = (errorCode: fc.Arbitrary<number>) =>
  fc.record({
    partition: fc.nat(1_000),
    errorCode,
    errorMessage: fc.option(fc.string(), { nil: null }),
    recordErrors: fc.array(fc.string({ minLength: 1 }), { maxLength: 2 }),
  })
const topicsOf = (partition: fc.Arbitrary<Partition>, most: number) =>
  fc.array(
    fc.record({ topic: fc.stringMatching(/^[a-z.]{1,200}$/), partitions: fc.array(partition, { maxLength: most }) }),
    { maxLength: most },
  )
const usual = fc.record({
  partition: fc.nat(1_000),
  errorCode: fc.constant(0),
  errorMessage: fc.constant(null),
  recordErrors: fc.constant([]),
})

describe('an answer to what was produced', () => {
  it('is read as it was written, usual or not', () => {
    const any = fc.oneof(
      topicsOf(usual, 5),
      topicsOf(partitionOf(fc.integer({ min: -1, max: 90 })), 4),
      topicsOf(usual, 200),
    )
    fc.assert(
      fc.property(any, (topics) => {
        expect(read(answerOf(topics))).toEqual(told(topics))
      }),
    )
  })

  it('that is cut off is an error, as the library has it', () => {
    const whole = answerOf([
      { topic: 't', partitions: [{ partition: 3, errorCode: 0, errorMessage: null, recordErrors: [] }] },
    ])
    for (let length = 0; length < whole.byteLength - 5; length++) {
      const cut = whole.subarray(0, length)
      expect(() => produceV9.parseResponse(1, 0, 9, Reader.from(cut))).toThrow()
      expect(() => read(cut)).toThrow()
    }
  })
})

describe('a deadline', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  it('passes unless it was stopped, again and again', () => {
    const deadline = new Deadline()
    const passed: string[] = []
    deadline.start(100, () => passed.push('a'))
    vi.advanceTimersByTime(60)
    deadline.stop()
    deadline.start(100, () => passed.push('b'))
    vi.advanceTimersByTime(60)
    expect(passed).toEqual([])
    vi.advanceTimersByTime(40)
    expect(passed).toEqual(['b'])
    deadline.stop()
    deadline.start(100, () => passed.push('c'))
    vi.advanceTimersByTime(100)
    deadline.start(50, () => passed.push('d'))
    vi.advanceTimersByTime(50)
    expect(passed).toEqual(['b', 'c', 'd'])
    deadline.start(50, () => passed.push('e'))
    deadline.close()
    vi.advanceTimersByTime(100)
    expect(passed).toHaveLength(3)
  })
})
