import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Datatype } from '../../../../api/oip/datatype.ts'
import { decodeElements, encodeElements } from '../../../../api/oip/elements.ts'
import type { InferenceRequest, InferenceResponse } from '../../../../api/oip/inference.ts'
import type { Tensor } from '../../../../api/oip/tensor.ts'
import { type BatchSettings, createBatcher, STANDARD_WINDOW_MS } from '../../../../dataflow/batch/batcher.ts'
import { mergeRequests, rowsOf, shareOut } from '../../../../dataflow/batch/rows.ts'
import type { ModelCall, ModelEnd } from '../../../../dataflow/model-client/model-client.ts'
import { ownFailure } from '../../../../dataflow/model-client/model-failure.ts'

const tensorOf = (
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  elements: readonly unknown[],
): Tensor => ({
  name,
  datatype,
  shape,
  bytes: encodeElements(name, datatype, elements as unknown[]),
  parameters: {},
})
const requestOf = (id: string, ...inputs: readonly Tensor[]): InferenceRequest => ({
  id,
  parameters: {},
  inputs,
  outputs: [],
})
const numbers = (id: string, values: readonly number[]): InferenceRequest =>
  requestOf(id, tensorOf('x', 'INT32', [values.length], values))
/** A model that answers what it is asked. */
const echo = ({ id, inputs }: InferenceRequest): InferenceResponse => ({
  modelName: 'm',
  modelVersion: '1',
  id,
  parameters: {},
  outputs: inputs,
})

describe('rows', () => {
  const row = fc.record({
    numbers: fc.array(fc.integer({ min: -9, max: 9 }), { minLength: 2, maxLength: 2 }),
    text: fc.string({ maxLength: 5 }),
  })
  const members = fc.array(fc.array(row, { minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 5 })

  it('that are put together and shared out again are what they were, of every member', () => {
    fc.assert(
      fc.property(members, (each) => {
        const requests = each.map((rows, index) =>
          requestOf(
            String(index),
            tensorOf(
              'pairs',
              'FP32',
              [rows.length, 2],
              rows.flatMap((one) => one.numbers),
            ),
            tensorOf(
              'texts',
              'BYTES',
              [rows.length],
              rows.map(({ text }) => text),
            ),
          ),
        )
        expect(new Set(requests.map((request) => rowsOf(request)?.form)).size).toBe(1)
        const merged = mergeRequests(requests as [InferenceRequest, ...InferenceRequest[]])
        expect(rowsOf(merged)?.count).toBe(each.flat().length)
        const shares = shareOut(
          echo(merged),
          requests.map(({ id }, index) => ({ id, rows: each[index]?.length ?? 0 })),
        )
        expect(shares?.map(({ id }) => id)).toEqual(requests.map(({ id }) => id))
        for (const [index, share] of (shares ?? []).entries()) {
          const asked = requests[index]?.inputs ?? []
          expect(share.outputs.map(({ shape }) => shape)).toEqual(asked.map(({ shape }) => shape))
          expect(share.outputs.map(decodeElements)).toEqual(asked.map(decodeElements))
        }
      }),
    )
  })

  it.each([
    [requestOf('', tensorOf('x', 'INT32', [], [1]))],
    [requestOf('', tensorOf('x', 'INT32', [1], [1]), tensorOf('y', 'INT32', [2], [1, 2]))],
    [requestOf('', tensorOf('x', 'INT32', [1], [1]), tensorOf('x', 'INT32', [1], [2]))],
    [requestOf('')],
    [requestOf('', tensorOf('x', 'INT32', [0], []))],
  ])('are not there where tensors share none (%#)', (request) => {
    expect(rowsOf(request)).toBeUndefined()
  })

  it('of other names, datatypes, inner shapes, parameters or wanted outputs have another form', () => {
    const forms = [
      numbers('', [1]),
      requestOf('', tensorOf('y', 'INT32', [1], [1])),
      requestOf('', tensorOf('x', 'INT64', [1], [1n])),
      requestOf('', tensorOf('x', 'INT32', [1, 1], [1])),
      { ...numbers('', [1]), parameters: { top: 3n } },
      { ...numbers('', [1]), outputs: [{ name: 'y', parameters: {} }] },
    ].map((request) => rowsOf(request)?.form)
    expect(new Set(forms).size).toBe(forms.length)
  })
})

describe('a batcher', () => {
  beforeEach(() => {
    vi.useFakeTimers()
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  function scene() {
    const asked: { call: ModelCall; end: (end: ModelEnd) => void; cancelled: boolean }[] = []
    const batcher = createBatcher({
      models: {
        infer: (call, end) => {
          const one = { call, end, cancelled: false }
          asked.push(one)
          return () => {
            one.cancelled = true
          }
        },
      },
      nowMs: () => performance.now(),
    })
    const ends = new Map<string, ModelEnd>()
    const infer = (
      id: string,
      values: readonly number[],
      settings: Partial<BatchSettings> = {},
      timeoutMs = 10_000,
      scope = 's',
    ) =>
      batcher.infer(
        scope,
        { size: 3, windowMs: 100, rolling: false, ...settings },
        { model: 'm', request: numbers(id, values), headers: [['x-request-id', id]], timeoutMs },
        (end) => {
          expect(ends.has(id)).toBe(false) // once
          ends.set(id, end)
        },
      )
    const answer = (index: number): void => {
      const one = asked[index]
      if (one !== undefined) one.end({ kind: 'answered', response: echo(one.call.request), routes: ['m:1'] })
    }
    const valuesOf = (id: string): readonly unknown[] | string => {
      const end = ends.get(id)
      if (end === undefined) return 'nothing'
      return end.kind === 'failed' ? end.failure.message : end.response.outputs.flatMap(decodeElements)
    }
    const rowsAsked = () => asked.map(({ call }) => call.request.inputs.flatMap(decodeElements))
    return { asked, infer, answer, valuesOf, rowsAsked, ends }
  }

  it('asks once it has its size in rows, and gives each its own back; the next batch begins afresh', () => {
    const { infer, answer, valuesOf, rowsAsked, asked } = scene()
    infer('a', [1])
    infer('b', [2])
    expect(rowsAsked()).toEqual([])
    infer('c', [3, 4]) // may go beyond the size
    infer('d', [5])
    expect(rowsAsked()).toEqual([[1, 2, 3, 4]])
    answer(0)
    expect(['a', 'b', 'c', 'd'].map(valuesOf)).toEqual([[1], [2], [3, 4], 'nothing'])
    vi.advanceTimersByTime(100)
    expect(asked[1]?.call.headers).toEqual([['x-request-id', 'd']]) // alone it is as it came
  })

  it('waits for its window from the first member on, or from the last when it rolls, not beyond half of what one has left', () => {
    const { infer, rowsAsked } = scene()
    infer('a', [1])
    vi.advanceTimersByTime(60)
    infer('b', [2])
    vi.advanceTimersByTime(39)
    expect(rowsAsked()).toEqual([])
    vi.advanceTimersByTime(1)
    expect(rowsAsked()).toEqual([[1, 2]])
    infer('c', [3], { rolling: true })
    vi.advanceTimersByTime(60)
    infer('d', [4], { rolling: true })
    vi.advanceTimersByTime(99)
    expect(rowsAsked()).toHaveLength(1)
    vi.advanceTimersByTime(1)
    expect(rowsAsked()[1]).toEqual([3, 4])
    infer('e', [5], {}, 60)
    vi.advanceTimersByTime(30)
    expect(rowsAsked()[2]).toEqual([5])
    infer('f', [6], { windowMs: undefined })
    vi.advanceTimersByTime(STANDARD_WINDOW_MS)
    expect(rowsAsked()[3]).toEqual([6])
  })

  it('never mixes steps, and lets one that fills a batch pass', () => {
    const { infer, rowsAsked } = scene()
    infer('a', [1, 2], {}, 10_000, 'one')
    infer('b', [3, 4], {}, 10_000, 'other')
    infer('c', [5, 6, 7], {}, 10_000, 'one')
    expect(rowsAsked()).toEqual([[5, 6, 7]])
  })

  it('asks one by one what the model refused as a batch; other failures are those of all', () => {
    const { infer, answer, valuesOf, asked } = scene()
    for (const [id, value] of [
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ] as const)
      infer(id, [value])
    asked[0]?.end({ kind: 'failed', failure: ownFailure('REQUEST_INVALID', 'row 1 is wrong') })
    expect(asked).toHaveLength(4)
    answer(1)
    asked[2]?.end({ kind: 'failed', failure: ownFailure('REQUEST_INVALID', 'row 0 is wrong') })
    answer(3)
    expect(['a', 'b', 'c'].map(valuesOf)).toEqual([[1], 'row 0 is wrong', [3]])
    infer('d', [4, 5])
    infer('e', [6])
    asked[4]?.end({ kind: 'failed', failure: ownFailure('SERVER_UNAVAILABLE', 'gone') })
    expect(['d', 'e'].map(valuesOf)).toEqual(['gone', 'gone'])
  })

  it('says so when the answer has other rows than were asked', () => {
    const { infer, valuesOf, asked } = scene()
    infer('a', [1, 2])
    infer('b', [3])
    asked[0]?.end({ kind: 'answered', response: echo(numbers('', [7])), routes: [] })
    expect(valuesOf('b')).toMatch(/not one row for each row that was asked; leave batch out/)
  })

  it('forgets who went away: its rows are not asked, a call that nobody waits for any more is ended', () => {
    const { infer, answer, valuesOf, rowsAsked, asked } = scene()
    infer('a', [1])()
    infer('b', [2])
    infer('c', [3])
    vi.advanceTimersByTime(100)
    expect(rowsAsked()).toEqual([[2, 3]])
    const cancels = [infer('d', [4, 5]), infer('e', [6])]
    cancels[0]?.()
    expect(asked[1]?.cancelled).toBe(false)
    cancels[1]?.()
    expect(asked[1]?.cancelled).toBe(true)
    answer(0)
    expect(['a', 'b', 'c', 'd', 'e'].map(valuesOf)).toEqual(['nothing', [2], [3], 'nothing', 'nothing'])
  })

  it('whatever comes when, each gets its own rows, once, and nothing is left behind', () => {
    const step = fc.oneof(
      fc.record({ rows: fc.integer({ min: 1, max: 4 }), leaves: fc.boolean() }),
      fc.record({ ms: fc.integer({ min: 1, max: 150 }) }),
      fc.record({ refuses: fc.boolean() }),
    )
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 40 }),
        fc.integer({ min: 1, max: 6 }),
        fc.boolean(),
        (steps, size, rolling) => {
          const { infer, answer, valuesOf, asked, ends } = scene()
          const sent = new Map<string, readonly number[]>()
          let value = 0
          let answered = 0
          const answerNext = (refuses: boolean): void => {
            const one = asked[answered]
            if (one === undefined) return
            if (refuses && !one.cancelled) one.end({ kind: 'failed', failure: ownFailure('INFERENCE_FAILED', 'no') })
            else if (!one.cancelled) answer(answered)
            answered += 1
          }
          for (const one of steps) {
            if ('ms' in one) vi.advanceTimersByTime(one.ms)
            else if ('refuses' in one) answerNext(one.refuses)
            else {
              const id = String(sent.size)
              const values = Array.from({ length: one.rows }, () => (value += 1))
              const leave = infer(id, values, { size, rolling })
              if (one.leaves && !ends.has(id)) leave()
              else sent.set(id, values)
              if (one.leaves) sent.set(id, [])
            }
          }
          vi.advanceTimersByTime(5_000)
          while (answered < asked.length) answerNext(false)
          for (const [id, values] of sent) {
            if (values.length === 0) expect(ends.has(id)).toBe(false)
            else expect([values, 'no']).toContainEqual(valuesOf(id))
          }
          expect(vi.getTimerCount()).toBe(0)
        },
      ),
    )
  })
})
