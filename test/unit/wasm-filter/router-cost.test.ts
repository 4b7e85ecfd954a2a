import { expect, it } from 'vitest'
import type { SplitIr } from '../../../xds/index.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { field, frame } from '../../support/grpc-frames.ts'
import { type Header, ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { runStream, type StreamRequest } from '../../../wasm-filter/host/stream.ts'

const module = compileFilter('router')

/** Experiments with everything that one can have. */
function hostWith(experiments: number): ProxyHost {
  const splits = Array.from({ length: experiments }, (_, index): SplitIr => {
    const name = `m${String(index)}`
    return {
      target: name,
      seed: `e${String(index)}`,
      stickyHeader: 'x-user-id',
      measured: true,
      candidates: [
        { target: name, weight: 90 },
        { target: `${name}-b`, weight: 10, match: [{ header: 'x-beta', present: true }] },
      ],
      mirrors: [{ target: `${name}-c`, percent: 10 }],
    }
  })
  const host = new ProxyHost(module)
  expect(host.configure(toRouterTable({ shards: 256, maxModels: 2_000, maxRequestBytes: 1e8 }, splits))).toBe(true)
  return host
}

const EXTRA: readonly Header[] = [
  ['x-user-id', 'u-17'],
  ['x-beta', '1'],
  ['x-seldon-route', ':iris_1:'],
  ['content-length', '14'],
]
const ANSWERED = { headers: [[':status', '200'], ['x-seldon-route', ':iris_1:']] satisfies Header[] } // prettier-ignore
const GRPC: readonly Header[] = [
  [':method', 'POST'],
  [':path', '/inference.GRPCInferenceService/ModelInfer'],
  ['content-type', 'application/grpc'],
]
const rest = (name: string): StreamRequest => ({
  headers: [[':method', 'POST'], [':path', `/v2/models/${name}/infer`], ...EXTRA],
  chunks: [Buffer.from('{"inputs": []}')],
  answered: ANSWERED,
})
const grpc = (name: string): StreamRequest => ({
  headers: [...GRPC, ['seldon-model', name], ...EXTRA],
  chunks: [frame(field(1, name))],
  answered: ANSWERED,
})
const grpcByMessage = (name: string): StreamRequest => ({ ...grpc(name), headers: [...GRPC, ...EXTRA] })

/** Of a request whose like was seen before, so that its metrics are known. */
function costOf(host: ProxyHost, request: StreamRequest) {
  runStream(host, request)
  const { hostCalls, bytesHanded } = host
  runStream(host, request)
  return { hostCalls: host.hostCalls - hostCalls, bytesHanded: host.bytesHanded - bytesHanded }
}

it.each([
  ['REST', rest],
  ['gRPC', grpc],
  ['gRPC, named by its message', grpcByMessage],
])('a request that no experiment concerns costs the same with 0, 1 and 1,000 (%s)', (_what, request) => {
  const [none, one, thousand] = [0, 1, 1_000].map((experiments) => costOf(hostWith(experiments), request('iris')))
  expect(none?.hostCalls).toBeGreaterThan(5)
  expect(one).toEqual(none)
  expect(thousand).toEqual(none)
})

it.each([
  ['REST', rest],
  ['gRPC', grpc],
])('the choice itself calls the host only to measure and to mirror (%s)', (_what, request) => {
  const host = hostWith(1_000)
  const { hostCalls, bytesHanded } = costOf(host, request('iris'))
  const chosen = costOf(host, request('m7'))
  expect(chosen.hostCalls).toBe(hostCalls + 3) // one counter, one histogram, one header
  expect(Math.abs(chosen.bytesHanded - bytesHanded)).toBeLessThan(10) // the names differ in length
})
