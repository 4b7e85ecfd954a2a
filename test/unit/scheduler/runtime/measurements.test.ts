import { describe, expect, test } from 'vitest'
import { createMeasurements, type Report } from '../../../../scheduler/loop/measurements.ts'

const report = (reporter: string, sequence: number, requests: number, window = 'w'): Report => ({
  reporter,
  sequence,
  windows: [{ experiment: 'e', window, candidates: new Map([['c', { requests, errors: 0, buckets: [] }]]) }],
})

function waiting(onNews: (experiment: string) => void = () => undefined, now = () => 10_000) {
  const measurements = createMeasurements({ onNews, now })
  measurements.follow('e', 'w')
  return measurements
}

describe('what was measured', () => {
  test('is summed over all reporters, and the newest report of each counts', () => {
    const measurements = waiting()
    for (const given of [report('a', 1, 5), report('a', 2, 7), report('b', 1, 10)]) measurements.note(given)
    expect(measurements.of('e', 'w', 'c').requests).toBe(17)
  })

  test('is not counted twice when a report comes twice, nor goes back when one comes late', () => {
    const measurements = waiting()
    for (const given of [report('a', 2, 7), report('a', 2, 7), report('a', 1, 5)]) measurements.note(given)
    expect(measurements.of('e', 'w', 'c').requests).toBe(7)
  })

  test('of a window that nobody waits for is not taken', () => {
    const measurements = waiting()
    measurements.note(report('a', 1, 5, 'another'))
    expect(measurements.of('e', 'another', 'c').requests).toBe(0)
    expect(measurements.of('e', 'w', 'c').requests).toBe(0)
  })

  test('is forgotten with its window, and a window that stays keeps it', () => {
    const measurements = waiting()
    measurements.note(report('a', 1, 5))
    measurements.follow('e', 'w')
    expect(measurements.of('e', 'w', 'c').requests).toBe(5)
    measurements.follow('e', 'next')
    measurements.follow('e', 'w')
    expect(measurements.of('e', 'w', 'c').requests).toBe(0)
    measurements.follow('e', undefined)
    expect(measurements.measured()).toEqual([])
  })

  test('of more than 1,000 reporters is not taken, so memory is bounded', () => {
    const measurements = waiting()
    for (let index = 0; index < 1_500; index += 1) measurements.note(report(`r${String(index)}`, 1, 1))
    expect(measurements.of('e', 'w', 'c').requests).toBe(1_000)
  })

  test('is news, but not more often than twice a second, and not when it was known or nobody waits for it', () => {
    const news: number[] = []
    let nowMs = 10_000
    const measurements = waiting(
      () => news.push(nowMs),
      () => nowMs,
    )
    measurements.note(report('a', 1, 5, 'another'))
    measurements.note(report('a', 1, 5))
    measurements.note(report('b', 1, 5))
    nowMs += 500
    measurements.note(report('b', 1, 5))
    nowMs += 1
    measurements.note(report('b', 2, 6))
    expect(news).toEqual([10_000, 10_501])
  })
})
