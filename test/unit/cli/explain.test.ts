import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { admit } from '../../../cli/explain/admission.ts'
import { copiesOf, hostsOf, routeOf, routerTableOf } from '../../../cli/explain/envoy-dump.ts'
import { explainRequest } from '../../../cli/explain/explanation.ts'
import { type RequestOptions, toAskedRequest } from '../../../cli/explain/request.ts'
import type { RouteSource } from '../../../cli/explain/route-source.ts'
import { explanationLines } from '../../../cli/output/explanation.ts'
import { packageRoot } from '../../../kit/root.ts'
import { toRouterTable } from '../../../xds/translate/router-table.ts'
import { shardOf } from '../../../xds/translate/shard.ts'
import { captureTerminal } from '../../support/capture-terminal.ts'

const WASM = join(packageRoot, 'wasm-filter/build')
const asked = (options: Partial<RequestOptions>) => toAskedRequest({ headers: {}, ...options })
const admission = (options: Partial<RequestOptions>, table = '') => admit(asked(options), table, WASM)
const target = (options: Partial<RequestOptions>) => {
  const found = admission(options)
  return found.kind === 'routed' ? found.target : found.reply
}

describe('the request that is asked about', () => {
  it.each([
    [{ path: '/v2/models/iris/infer' }, 'POST /v2/models/iris/infer'],
    [{ path: '/v2/models/iris' }, 'GET /v2/models/iris'],
    [{ path: '/v2/models/iris/versions/3/ready?x=1' }, 'GET /v2/models/iris/versions/3/ready?x=1'],
    [{ path: '/v2/health/ready' }, 'GET /v2/health/ready'],
    [{ path: '/v2/models/a/../../repository/index' }, 'POST /v2/repository/index'],
    [{ path: '/v2/models/iris', method: 'head' }, 'HEAD /v2/models/iris'],
    [{ modelName: 'a b' }, 'POST /v2/models/a%20b/infer'],
    [{ grpcMethod: 'ModelInfer' }, 'gRPC /inference.GRPCInferenceService/ModelInfer'],
    [{ grpcMethod: '/x.Y/Z' }, 'gRPC /x.Y/Z'],
  ])('%j is %s', (options, line) => {
    expect(asked(options).line).toBe(line)
  })

  it.each([
    [{}, /say which request/],
    [{ path: '/v2', grpcMethod: 'ModelInfer' }, /not both/],
    [{ path: '/v2', modelName: 'iris' }, /by REST the path/],
    [{ path: 'v2' }, /must begin with/],
  ])('%j is none', (options, message) => {
    expect(() => asked(options)).toThrow(message)
  })
})

describe("the filter's verdict", () => {
  it.each([
    ['the path', { path: '/v2/models/iris/infer' }],
    ['a header, which beats the path', { path: '/v2/models/rose/infer', headers: { 'seldon-model': 'iris' } }],
    ["a gRPC call's first message", { grpcMethod: 'ModelInfer', modelName: 'iris' }],
    ["a gRPC call's header", { grpcMethod: 'ModelInfer', headers: { 'seldon-model': 'iris.model' } }],
  ])('is a target named by %s', (_name, options) => {
    expect(target(options)).toBe('iris')
  })

  it('of a name longer than a varint of one byte', () => {
    const name = 'a'.repeat(300)
    expect(target({ grpcMethod: 'ModelInfer', modelName: name })).toMatchObject({ httpStatus: 200, grpcStatus: 3 })
  })

  it.each([
    ['a call that is not on the lists', { path: '/v2/repository/index' }, 404],
    ['a method that does not fit', { path: '/v2/models/iris/infer', method: 'GET' }, 404],
    ['a name that cannot be one', { path: '/v2/models/_x/infer' }, 404],
    ['what Envoy answers for itself', { path: '/v2/health/live' }, 200],
  ])('is an answer for %s', (_name, options, httpStatus) => {
    expect(target(options)).toMatchObject({ httpStatus })
  })

  it('names what a client may not send', () => {
    const found = admission({ modelName: 'iris', headers: { 'seldon-internal-model': 'x', 'x-request-id': '1' } })
    expect(found).toMatchObject({ kind: 'routed', removedHeaders: ['seldon-internal-model'] })
  })

  it('names every candidate of a split with its share and shard', () => {
    const table = 'shards 64\nsplit iris iris-a 90 iris-b 30\n'
    expect(admission({ modelName: 'iris' }, table)).toMatchObject({
      target: 'iris',
      candidates: [
        { target: 'iris-a', weightPercent: 75, shard: shardOf('iris-a', 64) },
        { target: 'iris-b', weightPercent: 25, shard: shardOf('iris-b', 64) },
      ],
    })
    expect(admission({ modelName: 'rose' }, table)).toMatchObject({
      candidates: [{ target: 'rose', weightPercent: 100 }],
    })
  })
})

describe('an experiment', () => {
  const table = toRouterTable({ shards: 64, maxModels: 10, maxRequestBytes: 1_000 }, [
    {
      target: 'iris',
      seed: 'exp',
      stickyHeader: 'x-user-id',
      candidates: [
        { target: 'iris', weight: 90 },
        { target: 'iris-b', weight: 10 },
        { target: 'iris-c', weight: 0, match: [{ header: 'x-team', exact: 'a b' }, { header: 'agent', prefix: 'curl/' }] }, // prettier-ignore
      ],
      mirrors: [{ target: 'm', percent: 1 }],
    },
    { target: 'other', seed: 'other', measured: true, candidates: [{ target: 'x', weight: 1 }] },
  ])

  it.each<[string, Record<string, string>, string, RegExp]>([
    ['conditions', { 'x-team': 'a b', agent: 'curl/8', 'x-user-id': 'u', 'x-seldon-route': ':iris_1:' }, 'iris-c', /^its conditions hold: x-team is "a b" and agent begins with "curl\/"$/], // prettier-ignore
    ['a token', { 'x-seldon-route': ':gone_1: :iris-b_12:', 'x-user-id': 'u' }, 'iris-b', /^the token :iris-b_12: of x-seldon-route names it$/], // prettier-ignore
    ['a sticky header', { 'x-user-id': 'user-3', 'x-seldon-route': ':iris-c_1:' }, 'iris', /^x-user-id: user-3 is sticky/], // prettier-ignore
  ])('leads a request to one candidate by %s, and says so', (_what, headers, candidate, why) => {
    for (const options of [{ path: '/v2/models/iris/infer' }, { grpcMethod: 'ModelInfer', modelName: 'iris' }]) {
      const found = admission({ ...options, headers }, table)
      expect(found).toMatchObject({
        target: 'iris',
        candidates: [{ target: candidate, weightPercent: 100, shard: shardOf(candidate, 64) }],
        experiment: { name: 'exp', isMirrored: true },
      })
      expect(found.kind === 'routed' && found.experiment?.reason).toMatch(why)
    }
  })

  it('leaves all others to chance, and says that', () => {
    const found = admission({ modelName: 'iris' }, table)
    expect(found).toMatchObject({ experiment: { name: 'exp', reason: expect.stringContaining('by chance') as string } })
    expect(found.kind === 'routed' && found.candidates.map(({ weightPercent }) => weightPercent)).toEqual([90, 10, 0])
    expect(admission({ modelName: 'rose' }, table)).not.toHaveProperty('experiment')
  })

  it('is read line by line as the filter reads it, whatever the headers', () => {
    const names = ['x-team', 'agent', 'x-user-id', 'x-seldon-route']
    const values = ['a b', 'curl/', 'curl/8', ':iris_1:', ':iris-b_2::iris_1:', ':iris-c_1:', 'u1', '', ':x:']
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom(...names), fc.constantFrom(...values)), { maxLength: 5 }),
        (pairs) => {
          const headers = Object.fromEntries(pairs)
          const [first, second] = [0, 1].map(() => admission({ modelName: 'iris', headers }, table))
          expect(second).toEqual(first)
          if (first?.kind !== 'routed') throw new Error('it is routed')
          const isCertain = first.candidates.length === 1
          const reason = first.experiment?.reason ?? ''
          expect(isCertain).toBe(!reason.includes('by chance'))
          if (reason.startsWith('its conditions')) expect(first.candidates[0]?.target).toBe('iris-c')
          if (reason.startsWith('the token')) expect(reason).toContain(`:${first.candidates[0]?.target ?? ''}_`)
        },
      ),
      { numRuns: 60 },
    )
  })
})

/** What xds makes is what Envoy's dump holds. */
const golden = (name: string) => {
  const folder = join(packageRoot, 'test/golden', name)
  const read = (file: string) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as { name: string }[]
  return {
    routes: { configs: read('rds.json').map((table) => ({ route_config: table })) },
    filters: { configs: read('ecds.json').map((filter) => ({ ecds_filter: filter })) },
    shardsOf: (wanted: string): number =>
      Number(
        read('rds.json')
          .find((table) => JSON.stringify(table).includes(`"${wanted}?${table.name.split('-')[1] ?? ''}":{"action"`))
          ?.name.split('-')[1],
      ),
  }
}

describe("Envoy's dump", () => {
  it('says the destination of a target by protocol', () => {
    const { routes, shardsOf } = golden('one-model')
    const shard = shardsOf('iris')
    expect(routeOf(routes, shard, 'iris', 'grpc')).toEqual({
      kind: 'destinations',
      destinations: [{ internalName: 'iris_1', cluster: 'embedded.0/grpc', weightPercent: 100 }],
    })
    expect(routeOf(routes, shard, 'iris', 'rest')).toMatchObject({ destinations: [{ cluster: 'embedded.0/rest' }] })
    expect(routeOf(routes, shard, 'rose', 'rest')).toEqual({ kind: 'unknown' })
    expect(routeOf({}, shard, 'iris', 'rest')).toEqual({ kind: 'unknown' })
  })

  it('says the shares of a rollout', () => {
    const { routes, shardsOf } = golden('rollout')
    const shard = shardsOf('iris')
    const route = routeOf(routes, shard, 'iris', 'rest')
    if (route.kind !== 'destinations') throw new Error(`it is ${route.kind}`)
    expect(route.destinations.length).toBe(2)
    expect(route.destinations.reduce((sum, { weightPercent }) => sum + weightPercent, 0)).toBeCloseTo(100)
    expect(route.destinations.every(({ cluster }) => cluster.endsWith('/rest'))).toBe(true)
    const byGrpc = routeOf(routes, shard, 'iris', 'grpc')
    expect(
      byGrpc.kind === 'destinations' && byGrpc.destinations.every(({ cluster }) => cluster.endsWith('/grpc')),
    ).toBe(true)
  })

  it.each(['rest', 'grpc'] as const)('says where copies go of what a split sends on, by %s', (protocol) => {
    const { routes, shardsOf } = golden('mirrors')
    const iris = { shard: shardsOf('iris'), target: 'iris' }
    expect(routeOf(routes, iris.shard, 'iris', protocol)).toEqual({
      kind: 'destinations',
      destinations: [{ internalName: 'iris_1', cluster: `embedded/0/${protocol}`, weightPercent: 100 }],
    })
    expect(copiesOf(routes, iris, protocol, 'iris')).toEqual([
      { internalName: 'iris-c_1', cluster: `embedded/0@mirror/${protocol}`, percent: 3.125 },
      { internalName: 'iris-c_2', cluster: `mlserver/0@mirror/${protocol}`, percent: 9.375 },
    ])
    expect(copiesOf(routes, { ...iris, target: 'p.pipeline' }, protocol, 'f.experiment')).toEqual([
      { internalName: 'q.pipeline', cluster: `pipeline-gateway@mirror/${protocol}`, percent: 100 },
    ])
    expect(copiesOf(routes, iris, protocol, 'another')).toEqual([])
    expect(copiesOf(routes, { ...iris, target: 'q.pipeline' }, protocol, 'f.experiment')).toEqual([])
  })

  it('holds the table of the router', () => {
    expect(routerTableOf(golden('splits').filters)).toMatch(/^shards \d+\n(?:.*\n)*split /)
    expect(routerTableOf({ configs: [] })).toBeUndefined()
  })

  it('says which hosts a cluster has, and why Envoy avoids one', () => {
    const host = (port: number, health: object) => ({
      address: { socket_address: { address: '127.0.0.1', port_value: port } },
      health_status: health,
    })
    const clusters = {
      cluster_statuses: [
        {
          name: 'embedded/0/rest',
          host_statuses: [
            host(9100, { eds_health_status: 'HEALTHY' }),
            host(9110, { eds_health_status: 'DRAINING', failed_outlier_check: true }),
          ],
        },
      ],
    }
    expect(hostsOf(clusters, 'embedded/0/rest')).toEqual([
      { address: '127.0.0.1:9100', health: 'HEALTHY' },
      { address: '127.0.0.1:9110', health: 'DRAINING, failed outlier check' },
    ])
    expect(hostsOf(clusters, 'other/rest')).toBeUndefined()
  })
})

describe('an explanation', () => {
  const source: RouteSource = {
    name: 'a test',
    table: () => Promise.resolve('split e iris 1 rose 1\nmirrored\n'),
    route: ({ target: name }, _protocol, split) =>
      Promise.resolve(
        name === 'iris'
          ? {
              kind: 'destinations',
              destinations: [
                {
                  internalName: 'iris_3',
                  cluster: 'embedded/0/rest',
                  weightPercent: 100,
                  hosts: [{ address: '127.0.0.1:9100', health: 'HEALTHY' }],
                },
              ],
              ...(split === 'e'
                ? { copies: [{ internalName: 'm_1', cluster: 'embedded/0@mirror/rest', percent: 2.5 }] }
                : {}),
            }
          : { kind: 'unknown' },
      ),
  }
  const lines = async (options: Partial<RequestOptions>) =>
    explanationLines(
      await explainRequest(asked(options), {
        source,
        wasmFolder: WASM,
        modelState: (name) => Promise.resolve(name === 'rose' ? 'ModelFailed: no such file' : undefined),
      }),
      captureTerminal(),
    )

  it('of a model: target, shard, cluster, hosts', async () => {
    expect(await lines({ modelName: 'iris' })).toEqual([
      'Request:   POST /v2/models/iris/infer',
      'Verdict:   routed',
      'Target:    iris',
      `Shard:     ${String(shardOf('iris', 256))}`,
      'Model:     iris_3',
      'Cluster:   embedded/0/rest',
      'Hosts:     127.0.0.1:9100 (HEALTHY)',
      'Read from: a test',
    ])
  })

  it('of a model that has no route says why', async () => {
    const shown = await lines({ modelName: 'rose' })
    expect(shown).toContain('Verdict:   not found')
    expect(shown).toContain('State:     ModelFailed: no such file')
    expect(shown.find((line) => line.startsWith('Answer:'))).toContain('404: model "rose" is not available')
  })

  it('of a split shows each candidate', async () => {
    const shown = await lines({ modelName: 'e' })
    expect(shown).toContain('Target:    e, split over iris, rose')
    expect(shown).toContain('Candidate: iris, 50 %')
    expect(shown).toContain('Candidate: rose, 50 %')
    expect(shown).toContain('Split by:  experiment e')
    expect(shown).toContain('Mirror:    m_1, copies of 2.5 % of these requests, by embedded/0@mirror/rest')
    expect(shown.find((line) => line.startsWith('Why:'))).toContain('by chance')
  })

  it('of a refusal shows the answer and nothing of routes', async () => {
    const shown = await lines({ path: '/v2/repository/index' })
    expect(shown.map((line) => line.split(':')[0])).toEqual(['Request', 'Verdict', 'Answer', 'Read from'])
    expect(shown[1]).toBe('Verdict:   refused')
  })
})
