import { describe, expect, it } from 'vitest'
import { type ModelRate, ratesBetween, type Reading, REQUESTS, SECONDS, sortRates } from '../../../cli/top/rates.ts'
import { lagsOf, withLags } from '../../../cli/top/lags.ts'
import { parseSamples } from '../../../cli/top/samples.ts'
import { toText } from '../../../mesh/prometheus.ts'

const NAMES = new Set([REQUESTS, SECONDS])

it('reads what our metrics process writes, names with quotes included', () => {
  const labels = { model: 'a "b"\\\n', code: '200' }
  const text = toText([
    { name: REQUESTS, help: 'Requests.', type: 'counter', samples: [{ labels, value: 3 }] },
    { name: 'other_total', help: 'Other.', type: 'counter', samples: [{ labels: {}, value: 1 }] },
  ])
  expect(parseSamples(text, NAMES)).toEqual([{ name: REQUESTS, labels, value: 3 }])
  expect(parseSamples(`${SECONDS} 1.5e3\n${REQUESTS}{model="x"} 2 1700000000\n`, NAMES)).toEqual([
    { name: SECONDS, labels: {}, value: 1_500 },
    { name: REQUESTS, labels: { model: 'x' }, value: 2 },
  ])
})

const reading = (atMs: number, ...counts: readonly (readonly [string, string, number, number])[]): Reading => ({
  atMs,
  samples: counts.flatMap(([model, code, requests, seconds]) => [
    { name: REQUESTS, labels: { model, code }, value: requests },
    { name: SECONDS, labels: { model, code }, value: seconds },
  ]),
})

describe('rates between two readings', () => {
  it('are what was added, over the time', () => {
    const rates = ratesBetween(
      reading(1_000, ['iris', '200', 100, 1], ['iris', '500', 1, 1]),
      reading(3_000, ['iris', '200', 118, 1.18], ['iris', '500', 3, 1.02], ['rose', 'OK', 1, 0.5]),
    )
    expect(rates).toMatchObject([
      { model: 'iris', requestsPerSecond: 10, failedPercent: 10, total: 121 },
      { model: 'rose', requestsPerSecond: 0.5, meanMs: 500, failedPercent: 0, total: 1 },
    ])
    expect(rates[0]?.meanMs).toBeCloseTo(10)
  })

  it('have no mean where nothing was asked', () => {
    const same = reading(1_000, ['iris', '200', 100, 1])
    expect(ratesBetween(same, { ...same, atMs: 2_000 })[0]).toMatchObject({ requestsPerSecond: 0, meanMs: undefined })
  })

  it('begin again with a counter that did', () => {
    const after = ratesBetween(reading(0, ['iris', '200', 100, 1]), reading(1_000, ['iris', '200', 4, 0.1]))
    expect(after[0]).toMatchObject({ requestsPerSecond: 4, total: 4 })
  })
})

it('lag is told beside the rate, and of what only waits in Kafka', () => {
  const worker = { name: 'w', connectedSince: '2026-01-01T00:00:00Z', draining: false }
  const lags = lagsOf([
    { ...worker, role: 'model-gateway', units: [{ name: 'iris', lagRecords: 0 }, { name: 'rose' }] },
    { ...worker, role: 'engine', units: [{ name: 'iris', lagRecords: 7 }] },
    { ...worker, role: 'pipeline-gateway', units: [{ name: 'iris' }] },
  ])
  const same = reading(0, ['iris', '200', 1, 1], ['rose', '200', 1, 1])
  const rates = sortRates(withLags(ratesBetween(same, { ...same, atMs: 1 }), lags), 'lag')
  expect(rates.map(({ model, lagRecords }) => [model, lagRecords])).toEqual([
    ['iris.pipeline', 7],
    ['iris', 0],
    ['rose', undefined],
  ])
})

it.each([
  ['rate', ['b', 'a', 'c']],
  ['latency', ['a', 'b', 'c']],
  ['errors', ['c', 'a', 'b']],
  ['total', ['c', 'b', 'a']],
  ['name', ['a', 'b', 'c']],
] as const)('sorted by %s', (sort, names) => {
  const rate = (
    model: string,
    requestsPerSecond: number,
    meanMs: number | undefined,
    failedPercent: number,
    total: number,
  ): ModelRate => ({
    model,
    requestsPerSecond,
    meanMs,
    failedPercent,
    total,
  })
  const rates = [rate('c', 0, undefined, 5, 9), rate('a', 1, 8, 0, 1), rate('b', 2, 7, 0, 2)]
  expect(sortRates(rates, sort).map(({ model }) => model)).toEqual(names)
})
