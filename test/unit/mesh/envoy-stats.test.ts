import { describe, expect, it } from 'vitest'
import { parseCounts, parseHistograms, parseHosts, parseStats } from '../../../mesh/envoy-stats.ts'

const stats = (values: Readonly<Record<string, unknown>>): string =>
  JSON.stringify({ stats: Object.entries(values).map(([name, value]) => ({ name, value })) })
const ADDRESS = '127%2E0%2E0%2E1%3A9100'

describe('counters', () => {
  it('are read field by field, escapes undone', () => {
    const counts = parseCounts(
      stats({
        [`wasmcustom.millrace.requests.a%2Eb.a%2Eb_3.${ADDRESS}.rest.200`]: 5,
        [`wasmcustom.millrace.microseconds.a%2Eb.a%2Eb_3.${ADDRESS}.rest.200`]: 1400,
      }),
    )
    const same = { model: 'a.b', internalName: 'a.b_3', address: '127.0.0.1:9100', method: 'rest', code: '200' }
    expect(counts).toEqual({
      models: [
        { kind: 'requests', isCopy: false, value: 5, ...same },
        { kind: 'microseconds', isCopy: false, value: 1400, ...same },
      ],
      drops: [],
      plugins: [],
      unreadable: 0,
    })
  })

  it('of mirrors are told apart, sent or not; those of candidates are read elsewhere', () => {
    const counts = parseCounts(
      stats({
        'wasmcustom.millrace.mirror_requests.iris.iris_3._none.grpc.14': 5,
        'cluster.embedded/0+embedded/1@mirror/rest.upstream_rq_pending_overflow': 3,
        'cluster.embedded/0@agent@mirror/grpc.upstream_rq_active_overflow': 4,
        'wasmcustom.millrace.candidate_requests.e.iris.rest': 9,
      }),
    )
    expect(counts).toEqual({
      models: [
        {
          kind: 'requests',
          isCopy: true,
          model: 'iris',
          internalName: 'iris_3',
          address: '_none',
          method: 'grpc',
          code: '14',
          value: 5,
        },
      ],
      drops: [
        { kind: 'dropped', endpointSet: 'embedded/0+embedded/1', method: 'rest', value: 3 },
        { kind: 'dropped', endpointSet: 'embedded/0@agent', method: 'grpc', value: 4 },
      ],
      plugins: [],
      unreadable: 0,
    })
  })

  it('of the virtual machines are told apart by plugin and outcome', () => {
    const { plugins } = parseCounts(
      stats({
        'wasm.router.vm_reload': 2,
        'wasm.rename.rest.vm_reload_failure': 1,
        'wasm.router.vm_reload_success': 1,
      }),
    )
    expect(plugins.map(({ plugin, outcome, value }) => [plugin, outcome, value])).toEqual([
      ['router', 'begun', 2],
      ['rename.rest', 'failure', 1],
      ['router', 'success', 1],
    ])
  })

  it.each([
    ['too few fields', `wasmcustom.millrace.requests.iris.iris_3.${ADDRESS}.rest`],
    ['too many fields', `wasmcustom.millrace.requests.iris.iris_3.${ADDRESS}.rest.200.x`],
    ['another kind', `wasmcustom.millrace.bytes.iris.iris_3.${ADDRESS}.rest.200`],
    ['a broken escape', 'wasmcustom.millrace.requests.iris.iris_3.%E0%A4%A.rest.200'],
    ['a foreign name', 'cluster.x.upstream_rq'],
  ])('that cannot be read are counted: %s', (_name, name) => {
    expect(parseCounts(stats({ [name]: 1 }))).toEqual({ models: [], drops: [], plugins: [], unreadable: 1 })
  })

  it('keep only numbers', () => {
    expect(parseStats('{"stats":[{"name":"a","value":1},{"name":"b","value":"text"},{"histograms":{}}]}')).toEqual(
      new Map([['a', 1]]),
    )
  })
})

describe('histograms', () => {
  it('are read with their fine buckets', () => {
    const details = [
      {
        name: `wasmcustom.millrace.duration_us.${ADDRESS}.grpc.0`,
        totals: [{ lower_bound: 480, width: 10, count: 2 }],
        intervals: [],
        percentiles: [],
      },
      { name: 'wasmcustom.millrace.duration_us.short', totals: [] },
    ]
    expect(
      parseHistograms(JSON.stringify({ stats: [{ histograms: { supported_percentiles: [], details } }] })),
    ).toEqual([
      { address: '127.0.0.1:9100', method: 'grpc', code: '0', buckets: [{ lowerUs: 480, upperUs: 490, count: 2 }] },
    ])
  })

  it('may be none', () => {
    expect(parseHistograms('{"stats":[]}')).toEqual([])
  })
})

describe('hosts', () => {
  it('are found by address; those without a name are left out', () => {
    const host = (port: number, hostname?: string) => ({
      hostname,
      address: { socket_address: { address: '10.0.0.1', port_value: port } },
    })
    const text = JSON.stringify({
      cluster_statuses: [
        { name: 'empty' },
        { host_statuses: [host(1, 'iris/0'), host(2), { address: { pipe: { path: '/x' } } }] },
      ],
    })
    expect(parseHosts(text)).toEqual(new Map([['10.0.0.1:1', 'iris/0']]))
  })

  it('may be none', () => {
    expect(parseHosts('{}').size).toBe(0)
  })
})

it.each(['', 'no healthy upstream', '[]', '{"stats":1}'])(
  'something else than Envoy answers with is an error: %j',
  (text) => {
    for (const parse of [parseCounts, parseHistograms]) {
      expect(() => parse(text)).toThrow(/^Envoy's admin port does not answer as Envoy does: /)
    }
  },
)
