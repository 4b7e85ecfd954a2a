import { describe, expect, it } from 'vitest'
import { compileFilter } from '../../support/compile-filter.ts'
import { type Answered, ProxyHost, type Header } from '../../../wasm-filter/host/proxy-host.ts'
import { openStream, runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')

function routerWith(table: string): ProxyHost {
  const host = new ProxyHost(module)
  expect(host.configure(table)).toBe(true)
  return host
}

const REST: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/v2/models/iris/infer'],
]
const GRPC: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  ['content-type', 'application/grpc'],
  ['seldon-model', 'iris'],
]
const address = (value: string) => ({ 'upstream.address': Buffer.from(value) })
const answer = (status: string, internal: string, at = '127.0.0.1:9100', ...more: readonly Header[]): Answered => ({
  headers: [[':status', status], ...more, ['x-seldon-route', `:${internal}:`]],
  properties: address(at),
})
const LOCAL = '127%2E0%2E0%2E1%3A9100'
const names = (host: ProxyHost) => [...host.counters.keys()].toSorted()

it('each request is counted once, with its microseconds, by model, version, server, protocol and code', () => {
  const host = routerWith('')
  for (let i = 0; i < 50; i++)
    runStream(host, { headers: REST, answered: answer('200', 'iris_3'), durationNanoseconds: 1_500_000n })
  runStream(host, { headers: REST, answered: answer('400', 'iris_3'), durationNanoseconds: 999n })
  const grpcAnswer = { ...answer('200', 'iris_3'), trailers: [['grpc-status', '0']] satisfies Header[] }
  for (let i = 0; i < 100; i++)
    runStream(host, { headers: GRPC, answered: grpcAnswer, durationNanoseconds: 2_000_000n })
  expect(Object.fromEntries(host.counters)).toEqual({
    [`millrace.requests.iris.iris_3.${LOCAL}.rest.200`]: 50n,
    [`millrace.microseconds.iris.iris_3.${LOCAL}.rest.200`]: 75_000n,
    [`millrace.requests.iris.iris_3.${LOCAL}.rest.400`]: 1n,
    [`millrace.microseconds.iris.iris_3.${LOCAL}.rest.400`]: 0n,
    [`millrace.requests.iris.iris_3.${LOCAL}.grpc.0`]: 100n,
    [`millrace.microseconds.iris.iris_3.${LOCAL}.grpc.0`]: 200_000n,
  })
  expect(host.histograms.get(`millrace.duration_us.${LOCAL}.rest.200`)).toEqual(
    Array.from({ length: 50 }, () => 1_500n),
  )
  expect(host.histograms.get(`millrace.duration_us.${LOCAL}.grpc.0`)).toHaveLength(100)
})

it('the histogram of a server holds all its models', () => {
  const host = routerWith('')
  runStream(host, { headers: REST, answered: answer('200', 'a_1'), durationNanoseconds: 1_000n })
  runStream(host, { headers: REST, answered: answer('200', 'b_2'), durationNanoseconds: 2_000n })
  expect(host.histograms).toEqual(new Map([[`millrace.duration_us.${LOCAL}.rest.200`, [1n, 2n]]]))
})

describe('the code', () => {
  const codeOf = (headers: readonly Header[], answered: Answered): string | undefined => {
    const host = routerWith('')
    runStream(host, { headers: [...headers], answered: { properties: address('h:1'), ...answered } })
    return names(host).at(-1)?.split('.').at(-1)
  }
  const token: Header = ['x-seldon-route', ':iris_3:']

  it.each<[string, readonly Header[], Answered]>([
    ['5', GRPC, { headers: [[':status', '200'], token], trailers: [['grpc-status', '5']] }],
    ['14', GRPC, { headers: [[':status', '200'], token, ['grpc-status', '14']] }],
    ['2', GRPC, { headers: [[':status', '200'], token] }],
    ['2', GRPC, { headers: [[':status', '200'], token], trailers: [['grpc-status', 'x']] }],
    ['503', REST, { headers: [[':status', '503'], token] }],
    ['0', REST, { headers: [[':status', '99999'], token] }],
  ])('%s', (code, headers, answered) => {
    expect(codeOf(headers, answered)).toBe(code)
  })
})

it('a client that left before an answer is counted by the name that the route set', () => {
  const host = routerWith('')
  const stream = openStream(host, { headers: REST })
  host.requestHeaders.push(['seldon-internal-model', 'iris_3'])
  stream.end({}, 5_000n)
  expect(names(host)).toContain('millrace.requests.iris.iris_3._none.rest.0')
})

it('requests that no route of a model took are not counted', () => {
  const host = routerWith('')
  runStream(host, { headers: REST, answered: { headers: [[':status', '404']] } })
  runStream(host, {
    headers: [
      [':method', 'GET'],
      [':path', '/v2/health/live'],
    ],
    answered: { headers: [[':status', '200']] },
  })
  expect(host.counters).toEqual(new Map())
})

it('separators in a name are escaped, so that a name parses in one way', () => {
  const host = routerWith('')
  runStream(host, { headers: REST, answered: answer('200', 'p.pipeline', '[::1]:9100') })
  const name = names(host).at(-1) ?? ''
  expect(name.split('.').map(decodeURIComponent)).toEqual([
    'millrace',
    'requests',
    'p.pipeline',
    'p.pipeline',
    '[::1]:9100',
    'rest',
    '200',
  ])
})

it('models beyond the limit are counted together', () => {
  const host = routerWith('max_models 2\n')
  for (let i = 0; i < 300; i++) runStream(host, { headers: REST, answered: answer('200', `m-${String(i % 30)}_1`) })
  expect(names(host).filter((name) => name.includes('requests'))).toEqual([
    `millrace.requests._other._other.${LOCAL}.rest.200`,
    `millrace.requests.m-0.m-0_1.${LOCAL}.rest.200`,
    `millrace.requests.m-1.m-1_1.${LOCAL}.rest.200`,
  ])
  expect(host.counters.get(`millrace.requests._other._other.${LOCAL}.rest.200`)).toBe(280n)
})

it('the number of series is bounded, and nothing is lost', () => {
  const host = routerWith('max_models 3\n')
  const memoryBytes = host.memoryBytes
  for (let i = 0; i < 3_000; i++)
    runStream(host, {
      headers: REST,
      answered: answer(String(200 + (i % 3)), 'iris_3', `10.0.${String(i >> 8)}.${String(i & 255)}:1`),
    })
  const requests = [...host.counters].filter(([name]) => name.includes('requests'))
  expect(requests.length).toBeLessThanOrEqual(1_026)
  expect(requests.reduce((sum, [, count]) => sum + count, 0n)).toBe(3_000n)
  expect(host.counters.get('millrace.requests._other._other._other.rest._other')).toBeGreaterThan(1_900n)
  expect(host.memoryBytes).toBe(memoryBytes)
})

it('a request that outlives thousands of others is timed all the same', () => {
  const host = routerWith('')
  const slow = openStream(host, { headers: GRPC })
  for (let i = 0; i < 5_000; i++) runStream(host, { headers: REST, answered: answer('200', 'iris_3') })
  const duration = Buffer.alloc(8)
  duration.writeBigInt64LE(7_000_000n)
  slow.end({
    headers: [
      [':status', '200'],
      ['x-seldon-route', ':slow_1:'],
    ],
    trailers: [['grpc-status', '0']],
    properties: { ...address('h:1'), 'request.duration': duration },
  })
  expect(host.counters.get('millrace.microseconds.slow.slow_1.h%3A1.grpc.0')).toBe(7_000n)
})
