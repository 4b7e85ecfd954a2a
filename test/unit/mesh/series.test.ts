import { describe, expect, it } from 'vitest'
import type { DurationHistogram, ModelCount } from '../../../mesh/envoy-stats.ts'
import { toText } from '../../../mesh/prometheus.ts'
import { toReadiness } from '../../../mesh/readiness.ts'
import { toFamilies } from '../../../mesh/series.ts'

const HOSTS = new Map([
  ['127.0.0.1:9100', 'embedded/0'],
  ['127.0.0.1:9101', 'embedded/0'],
  ['127.0.0.1:9199', 'embedded/0'],
  ['127.0.0.1:9110', 'team/a/1'],
  ['127.0.0.1:9104', 'embedded/0@agent'],
])
const count = (other: Partial<ModelCount> = {}): ModelCount => ({
  kind: 'requests',
  isCopy: false,
  model: 'iris',
  internalName: 'iris_3',
  address: '127.0.0.1:9100',
  method: 'rest',
  code: '200',
  value: 1,
  ...other,
})
const DROPS = [
  { kind: 'dropped', endpointSet: 'embedded/0', method: 'rest', value: 1 },
  { kind: 'dropped', endpointSet: 'embedded/0', method: 'rest', value: 2 },
] as const
const textOf = (
  models: readonly ModelCount[],
  histograms: readonly DurationHistogram[] = [],
  plugins: Parameters<typeof toFamilies>[0]['counts']['plugins'] = [],
): string[] =>
  toText(toFamilies({ counts: { models, drops: DROPS, plugins, unreadable: 0 }, histograms, hosts: HOSTS }))
    .split('\n')
    .filter((line) => !line.startsWith('#'))

describe('the series users know', () => {
  it('have their names, labels and seconds', () => {
    const lines = textOf([
      count({ value: 50 }),
      count({ kind: 'microseconds', value: 2_500_000 }),
      count({ method: 'grpc', address: '127.0.0.1:9101', code: '0', value: 100 }),
    ])
    const replica = 'server="embedded",server_replica="0"'
    const model = `${replica},model="iris",model_internal="iris_3"`
    expect(lines).toContain(`seldon_model_infer_total{${model},method_type="rest",code="200"} 50`)
    expect(lines).toContain(`seldon_model_infer_total{${model},method_type="grpc",code="OK"} 100`)
    expect(lines).toContain(`seldon_model_infer_seconds_total{${model},method_type="rest",code="200"} 2.5`)
    expect(lines).toContain(`seldon_model_aggregate_infer_total{${replica},method_type="rest"} 50`)
    expect(lines).toContain(`seldon_model_aggregate_infer_seconds_total{${replica},method_type="rest"} 2.5`)
  })

  it('have what copies asked of a mirror too, which has names of its own besides', () => {
    const lines = textOf([count({ value: 2, internalName: 'iris_1' }), count({ isCopy: true, value: 3 })])
    const labels = 'server="embedded",server_replica="0",model="iris",model_internal="iris_3",method_type="rest",code="200"' // prettier-ignore
    expect(lines).toContain(`seldon_model_infer_total{${labels}} 3`)
    expect(lines).toContain(`millrace_mesh_mirror_requests_total{${labels}} 3`)
    expect(lines.filter((line) => line.startsWith('millrace_mesh_mirror'))).toHaveLength(2)
    expect(lines).toContain('millrace_mesh_mirror_dropped_total{endpoint_set="embedded/0",method_type="rest"} 3')
  })

  it("leave out what went through an agent's proxy, which exports it itself: that has names of its own", () => {
    const address = '127.0.0.1:9104'
    const lines = textOf(
      [count({ value: 2 }), count({ address, value: 7 }), count({ kind: 'microseconds', address, value: 500_000 })],
      [{ address, method: 'rest', code: '200', buckets: [{ lowerUs: 0, upperUs: 1_000, count: 7 }] }],
    )
    const labels = `server="embedded",server_replica="0",model="iris",model_internal="iris_3",method_type="rest",code="200"`
    expect(lines.filter((line) => line.startsWith('seldon_'))).toEqual([
      `seldon_model_infer_total{${labels}} 2`,
      'seldon_model_aggregate_infer_total{server="embedded",server_replica="0",method_type="rest"} 2',
    ])
    expect(lines).toContain(`millrace_mesh_agent_path_requests_total{${labels}} 7`)
    expect(lines).toContain(`millrace_mesh_agent_path_seconds_total{${labels}} 0.5`)
  })

  it('are one for each set of labels: a replica may have had several addresses', () => {
    const lines = textOf([count({ value: 2 }), count({ value: 3, address: '127.0.0.1:9199' })])
    expect(lines.filter((line) => line.startsWith('seldon_model_infer_total'))).toEqual([
      'seldon_model_infer_total{server="embedded",server_replica="0",model="iris",model_internal="iris_3",method_type="rest",code="200"} 5',
    ])
  })

  it.each([
    ['a server with a slash in its name', '127.0.0.1:9110', 'server="team/a",server_replica="1"'],
    ['no server at all', '_none', 'server="_none",server_replica=""'],
    ['too many servers', '_other', 'server="_other",server_replica=""'],
    ['a server that Envoy has never named', '10.0.0.9:1', 'server="_unknown",server_replica="10.0.0.9:1"'],
  ])('name the replica: %s', (_name, address, labels) => {
    expect(textOf([count({ address })])[0]).toContain(`{${labels},`)
  })

  it.each([
    ['rest', '404', '404'],
    ['grpc', '3', 'InvalidArgument'],
    ['grpc', '16', 'Unauthenticated'],
    ['grpc', '99', '99'],
    ['grpc', '_other', '_other'],
  ])('give %s code %s as %s', (method, code, expected) => {
    expect(textOf([count({ method, code })])[0]).toContain(`code="${expected}"`)
  })

  it('make a histogram that agrees with itself', () => {
    const histogram: DurationHistogram = {
      address: '127.0.0.1:9100',
      method: 'rest',
      code: '200',
      buckets: [
        { lowerUs: 4_900, upperUs: 5_000, count: 3 },
        { lowerUs: 5_000, upperUs: 5_100, count: 2 },
        { lowerUs: 11_000_000, upperUs: 12_000_000, count: 1 },
      ],
    }
    const lines = textOf([], [histogram]).filter((line) => line.startsWith('seldon_model_infer_api_seconds'))
    const labels = 'server="embedded",server_replica="0",method="rest",code="200"'
    const bucket = (le: string) => lines.find((line) => line.includes(`le="${le}"`))
    expect(bucket('0.005')).toBe(`seldon_model_infer_api_seconds_bucket{${labels},le="0.005"} 3`)
    expect(bucket('0.01')).toBe(`seldon_model_infer_api_seconds_bucket{${labels},le="0.01"} 5`)
    expect(bucket('10')).toBe(`seldon_model_infer_api_seconds_bucket{${labels},le="10"} 5`)
    expect(bucket('+Inf')).toBe(`seldon_model_infer_api_seconds_bucket{${labels},le="+Inf"} 6`)
    expect(lines.at(-1)).toBe(`seldon_model_infer_api_seconds_count{${labels}} 6`)
    const sum = Number(lines.at(-2)?.split(' ').at(-1))
    expect(sum).toBeCloseTo(3 * 0.00495 + 2 * 0.00505 + 11.5, 6)
    expect(lines.length).toBe(14 + 3)
  })

  it('tell when a filter failed', () => {
    const lines = textOf([], [], [{ kind: 'plugin', plugin: 'router', outcome: 'begun', value: 2 }])
    expect(lines).toContain('millrace_wasm_vm_reloads_total{plugin="router",outcome="begun"} 2')
  })
})

it('label values are escaped', () => {
  const text = toText([{ name: 'a', help: 'h', type: 'gauge', samples: [{ labels: { x: 'a"b\\c\nd' }, value: 1 }] }])
  expect(text).toBe('# HELP a h\n# TYPE a gauge\na{x="a\\"b\\\\c\\nd"} 1\n')
})

describe('readiness', () => {
  const WORKERS = 'listener_manager.workers_started'
  const LISTENERS = 'listener_manager.total_listeners_active'
  const SCOPES = 'http.ingress.scoped_rds.shards.all_scopes'
  it.each([
    ['nothing', {}, /has not started its workers/],
    ['no listener', { [WORKERS]: 1, [LISTENERS]: 0, [SCOPES]: 256 }, /has no listener/],
    ['no routes', { [WORKERS]: 1, [LISTENERS]: 1, [SCOPES]: 0 }, /has no routes/],
    ['everything', { [WORKERS]: 1, [LISTENERS]: 1, [SCOPES]: 256 }, /^$/],
  ])('with %s', (_name, stats, reason) => {
    const readiness = toReadiness(new Map(Object.entries(stats)))
    expect(readiness.reason).toMatch(reason)
    expect(readiness.ready).toBe(readiness.reason === '')
  })
})
