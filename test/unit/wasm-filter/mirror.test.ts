import { expect, it } from 'vitest'
import { compileFilter } from '../../support/compile-filter.ts'
import { type Answered, type Header, ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { runStream } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('mirror')
const HEADERS: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/v2/models/iris/infer'],
  ['seldon-internal-model', 'iris-c_2'],
]
const GRPC: readonly Header[] = [...HEADERS, ['content-type', 'application/grpc']]

function countsOf(headers: readonly Header[], answered: Answered) {
  const host = new ProxyHost(module)
  runStream(host, { headers, answered, durationNanoseconds: 3_000_000n })
  return { counters: Object.fromEntries(host.counters), times: Object.fromEntries(host.histograms) }
}

const at = { 'upstream.address': Buffer.from('127.0.0.1:9100') }

it.each<[string, readonly Header[], Answered, string]>([
  ['an answer', HEADERS, { headers: [[':status', '200']], properties: at }, '127%2E0%2E0%2E1%3A9100.rest.200'],
  ['a wrong answer', HEADERS, { headers: [[':status', '500']], properties: at }, '127%2E0%2E0%2E1%3A9100.rest.500'],
  ['no answer', HEADERS, {}, '_none.rest.0'],
  ['a gRPC answer', GRPC, { headers: [[':status', '200']], trailers: [['grpc-status', '0']], properties: at }, '127%2E0%2E0%2E1%3A9100.grpc.0'], // prettier-ignore
  ['a gRPC refusal', GRPC, { headers: [[':status', '200'], ['grpc-status', '12']], properties: at }, '127%2E0%2E0%2E1%3A9100.grpc.12'], // prettier-ignore
  ['a gRPC answer that broke off', GRPC, { headers: [[':status', '200']], properties: at }, '127%2E0%2E0%2E1%3A9100.grpc.14'], // prettier-ignore
  ['no gRPC answer', GRPC, {}, '_none.grpc.14'],
])('%s to a copy is counted by the name of the mirror', (_what, headers, answered, fields) => {
  const [, server = '', code = ''] = /^(.*\.(?:rest|grpc))\.(\d+)$/.exec(fields) ?? []
  expect(countsOf(headers, answered)).toEqual({
    counters: {
      [`millrace.mirror_requests.iris-c.iris-c_2.${fields}`]: 1n,
      [`millrace.mirror_microseconds.iris-c.iris-c_2.${fields}`]: 3_000n,
    },
    times: { [`millrace.mirror_duration_us.${server}.${code}`]: [3_000n] },
  })
})

it('10,000 copies leave nothing behind', () => {
  const host = new ProxyHost(module)
  for (let i = 0; i < 100; i++) runStream(host, { headers: HEADERS, answered: {} })
  const { memoryBytes } = host
  for (let i = 0; i < 10_000; i++) runStream(host, { headers: HEADERS, answered: {} })
  expect(host.memoryBytes).toBe(memoryBytes)
})
