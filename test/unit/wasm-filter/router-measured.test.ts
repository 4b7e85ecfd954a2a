import { describe, expect, it } from 'vitest'
import type { SplitIr } from '../../../xds/index.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { field, frame } from '../../support/grpc-frames.ts'
import { type Answered, ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { openStream, runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')
const OPTIONS = { shards: 256, maxModels: 2_000, maxRequestBytes: 1_000_000 }
const MEASURED: SplitIr = {
  target: 'iris',
  seed: 'e.1',
  measured: true,
  candidates: [
    { target: 'iris', weight: 1 },
    { target: 'p.pipeline', weight: 0, match: [{ header: 'x-beta', present: true }] },
  ],
}
const table = (...splits: readonly SplitIr[]) => toRouterTable(OPTIONS, splits)

function hostWith(...splits: readonly SplitIr[]): ProxyHost {
  const host = new ProxyHost(module)
  expect(host.configure(table(...splits)), host.logs.join()).toBe(true)
  return host
}

const REST: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/v2/models/iris/infer'],
]
const BETA: Header = ['x-beta', '1']
const GRPC: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  ['content-type', 'application/grpc'],
]
const answer = (status: string, ...trailers: readonly Header[]): Answered => ({
  headers: [
    [':status', status],
    ['x-seldon-route', ':iris_3:'],
  ],
  trailers,
})

const measuredOf = (host: ProxyHost) => ({
  counters: Object.fromEntries([...host.counters].filter(([name]) => name.startsWith('millrace.candidate'))),
  times: Object.fromEntries([...host.histograms].filter(([name]) => name.startsWith('millrace.candidate'))),
})

describe('a measured split', () => {
  it('counts requests, errors and the microseconds of the others, per candidate and protocol', () => {
    const host = hostWith(MEASURED)
    const rest = (status: string, ...headers: readonly Header[]) =>
      runStream(host, { headers: [...REST, ...headers], answered: answer(status), durationNanoseconds: 2_000_000n })
    rest('200')
    rest('200')
    rest('500')
    rest('400')
    rest('200', BETA)
    const grpc = (status: string) =>
      runStream(host, {
        headers: GRPC,
        chunks: [frame(field(1, 'iris'))],
        answered: answer('200', ['grpc-status', status]),
        durationNanoseconds: 7_000n,
      })
    grpc('0')
    grpc('13')
    expect(measuredOf(host)).toEqual({
      counters: {
        'millrace.candidate_requests.e%2E1.iris.rest': 4n,
        'millrace.candidate_errors.e%2E1.iris.rest': 2n,
        'millrace.candidate_requests.e%2E1.p%2Epipeline.rest': 1n,
        'millrace.candidate_requests.e%2E1.iris.grpc': 2n,
        'millrace.candidate_errors.e%2E1.iris.grpc': 1n,
      },
      times: {
        'millrace.candidate_us.e%2E1.iris.rest': [2_000n, 2_000n],
        'millrace.candidate_us.e%2E1.p%2Epipeline.rest': [2_000n],
        'millrace.candidate_us.e%2E1.iris.grpc': [7n],
      },
    })
  })

  it('counts what Envoy answers in the place of a candidate, and the wait of a client that left', () => {
    const host = hostWith(MEASURED)
    runStream(host, { headers: REST, answered: { headers: [[':status', '404']] } })
    runStream(host, { headers: REST, answered: {}, durationNanoseconds: 30_000_000_000n })
    expect(measuredOf(host)).toEqual({
      counters: {
        'millrace.candidate_requests.e%2E1.iris.rest': 2n,
        'millrace.candidate_errors.e%2E1.iris.rest': 1n,
      },
      times: { 'millrace.candidate_us.e%2E1.iris.rest': [30_000_000n] },
    })
  })

  it('counts a request where it was sent, when the table has changed and 5,000 others have come since', () => {
    const host = hostWith(MEASURED)
    const slow = openStream(host, { headers: REST })
    for (let i = 0; i < 5_000; i++) runStream(host, { headers: [...REST, BETA], answered: answer('200') })
    host.configure(table({ ...MEASURED, candidates: MEASURED.candidates.toReversed() }), 2)
    slow.end({ ...answer('200'), properties: { 'request.duration': Buffer.alloc(8) } })
    expect(host.counters.get('millrace.candidate_requests.e%2E1.iris.rest')).toBe(1n)
    expect(host.counters.get('millrace.candidate_requests.e%2E1.p%2Epipeline.rest')).toBe(5_000n)
  })

  it('is one series with another split of the same experiment', () => {
    const host = hostWith(MEASURED, { ...MEASURED, target: 'e.experiment' })
    runStream(host, { headers: REST, answered: answer('200') })
    runStream(host, { headers: [...REST, ['seldon-model', 'e.experiment']], answered: answer('200') })
    expect(measuredOf(host).counters).toEqual({ 'millrace.candidate_requests.e%2E1.iris.rest': 2n })
  })

  it('is counted for 4,096 candidates at most, and the filter says so', () => {
    const host = new ProxyHost(module)
    for (let round = 0; round < 3; round++) {
      const splits = Array.from({ length: 2_000 }, (_, index) => ({
        target: `e${String(index)}.experiment`,
        seed: `e${String(index)}`,
        measured: true,
        candidates: [{ target: `c${String(round)}`, weight: 1 }],
      }))
      expect(host.configure(table(...splits), round)).toBe(true)
      runStream(host, { headers: [...REST, ['seldon-model', 'e7.experiment']], answered: answer('200') })
    }
    expect(Object.keys(measuredOf(host).counters)).toEqual([
      'millrace.candidate_requests.e7.c0.rest',
      'millrace.candidate_requests.e7.c1.rest',
    ])
    expect(host.logs).toEqual(['more candidates than 4,096 were measured since Envoy started: new ones are not'])
  })
})

it('a split that is not measured counts nothing more', () => {
  const host = hostWith({ ...MEASURED, measured: false })
  runStream(host, { headers: REST, answered: answer('200') })
  expect(measuredOf(host)).toEqual({ counters: {}, times: {} })
})
