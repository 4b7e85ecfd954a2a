import fc from 'fast-check'
import { Registry } from 'prom-client'
import { describe, expect, it } from 'vitest'
import { internalNameOf, isModelCall, parseRestCall, toServerPath } from '../../../agent/proxy/calls.ts'
import { createFrameRenamer } from '../../../agent/proxy/frame-rename.ts'
import { endToEnd } from '../../../agent/proxy/rest-headers.ts'
import { createTrafficMetrics } from '../../../agent/proxy/traffic-metrics.ts'
import { createTraffic, type EndedCall } from '../../../agent/proxy/traffic.ts'
import { ProxyHost } from '../../../wasm-filter/host/proxy-host.ts'
import { runStream } from '../../../wasm-filter/host/stream.ts'
import { compileFilter } from '../../support/compile-filter.ts'
import { cut, frame } from '../../support/grpc-frames.ts'

describe('a REST call', () => {
  it.each([
    ['POST', '/v2/models/iris/infer', '/v2/models/iris_3/infer'],
    ['POST', '/v2/models/ir%69s/versions/7/infer?a=/b', '/v2/models/iris_3/infer?a=/b'],
    ['POST', '/v2/models/iris/generate_stream', '/v2/models/iris_3/generate_stream'],
    ['GET', '/v2/models/iris', '/v2/models/iris_3'],
    ['HEAD', '/v2/models/iris/ready', '/v2/models/iris_3/ready'],
  ])('%s %s goes to %s', (method, path, expected) => {
    const call = parseRestCall(method, path)
    expect(call && toServerPath(call, 'iris_3')).toBe(expected)
  })

  it.each([
    ['GET', '/v2/models/iris/infer'],
    ['POST', '/v2/models/iris'],
    ['POST', '/v2/models/iris/load'],
    ['POST', '/v2/repository/models/iris/load'],
    ['POST', '/v2/models/iris/x/infer'],
    ['POST', '/v2/models//infer'],
    ['GET', '/v2/health/ready'],
    ['GET', '/metrics'],
  ])('%s %s is for no model', (method, path) => {
    expect(parseRestCall(method, path)).toBeUndefined()
  })
})

it('a gRPC call is for a model by its exact path', () => {
  expect(isModelCall('/inference.GRPCInferenceService/ModelInfer')).toBe(true)
  expect(isModelCall('/inference.GRPCInferenceService/RepositoryModelLoad')).toBe(false)
})

it.each([
  ['iris_3', 'iris_3'],
  ['a_1, iris_3', 'iris_3'],
  [['a_1', 'iris_3'], 'iris_3'],
  [undefined, undefined],
  ['', undefined],
  ['../iris_3', undefined],
  ['x'.repeat(75), undefined],
])('the internal name in %j is %s', (header, expected) => {
  expect(internalNameOf(header)).toBe(expected)
})

it('headers of one connection, and those that it names, do not go on', () => {
  const raw = [
    'Host',
    'x',
    'TE',
    'trailers',
    'Connection',
    'close, X-Mine',
    'x-mine',
    '1',
    'Cookie',
    'a',
    'Cookie',
    'b',
  ]
  expect(endToEnd(raw, 'close, X-Mine')).toEqual(['Host', 'x', 'Cookie', 'a', 'Cookie', 'b'])
})

describe('renaming', () => {
  const filter = new ProxyHost(compileFilter('rename-grpc'))

  it('makes the same bytes as the filter in Envoy, however they are cut', () => {
    const message = fc.uint8Array({ maxLength: 300 })
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 })
    fc.assert(
      fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), sizes, (messages, cuts) => {
        const chunks = cut(Buffer.concat(messages.map((one) => frame(one))), ...cuts)
        const renamer = createFrameRenamer('iris_3')
        const ours = Buffer.concat(chunks.flatMap((chunk) => renamer.push(Buffer.from(chunk))))
        const headers = [
          [':path', '/inference.GRPCInferenceService/ModelInfer'],
          ['content-type', 'application/grpc'],
          ['seldon-internal-model', 'iris_3'],
        ] as const
        expect(ours).toEqual(Buffer.from(runStream(filter, { headers, chunks }).body))
      }),
      { numRuns: 200 },
    )
  })

  it('refuses what is compressed, and what has no room for a name', () => {
    const refusal = (bytes: readonly number[]) => () => createFrameRenamer('iris_3').push(Buffer.from(bytes))
    expect(refusal([1, 0, 0, 0, 0])).toThrow(/uncompressed/)
    expect(refusal([0, 255, 255, 255, 255])).toThrow(/4294967295 bytes/)
  })
})

describe('traffic', () => {
  const setUp = (maxRequests = 10) => {
    const clock = { ms: 1_000 }
    const ended: EndedCall[] = []
    const traffic = createTraffic({
      maxRequests,
      onEnd: (call) => ended.push(call),
      nowMs: () => clock.ms,
      epochMs: () => clock.ms,
    })
    return { clock, ended, traffic }
  }

  it('knows what is in flight and when each model was last used, and times what ended, once', () => {
    const { clock, ended, traffic } = setUp()
    const [first, second] = [traffic.begin('iris_3', 'rest'), traffic.begin('iris_3', 'grpc')]
    clock.ms = 3_500
    first.end('200')
    first.end('500')
    expect(ended).toEqual([{ internalName: 'iris_3', protocol: 'rest', code: '200', seconds: 2.5 }])
    expect(traffic.uses().get('iris_3')).toEqual({ inFlight: 1, lastUsedMs: 3_500 })
    second.end('0')
    expect(traffic.uses().get('iris_3')).toEqual({ inFlight: 0, lastUsedMs: 3_500 })
  })

  it('admits so many, of whatever models, and again when one has ended', () => {
    const { traffic } = setUp(2)
    const calls = ['a_1', 'b_1', 'c_1'].map((name) => traffic.begin(name, 'rest'))
    expect(calls.map(({ admitted }) => admitted)).toEqual([true, true, false])
    for (const call of calls.slice(1)) call.end('200')
    expect(traffic.begin('c_1', 'rest').admitted).toBe(true)
  })

  it('forgets an unloaded model, when its last call has ended', () => {
    const { traffic } = setUp()
    traffic.begin('a_1', 'rest').end('200')
    const call = traffic.begin('b_1', 'rest')
    for (const name of ['a_1', 'b_1', 'never_1']) traffic.forget(name)
    expect([...traffic.uses().keys()]).toEqual(['b_1'])
    call.end('200')
    expect([...traffic.uses().keys()]).toEqual([])
  })

  it('that names ever new models keeps a bounded number of them', () => {
    const { traffic } = setUp()
    const held = traffic.begin('held_1', 'rest')
    for (let index = 0; index < 20_000; index += 1) traffic.begin(`m_${String(index)}`, 'rest').end('200')
    expect(traffic.uses().size).toBeLessThanOrEqual(10_001)
    held.end('200')
  })
})

it('the series have the names and labels of the mesh, and a bounded number of models', async () => {
  const registry = new Registry()
  const uses = new Map([['iris_3', { inFlight: 2, lastUsedMs: 1_500 }]])
  const count = createTrafficMetrics({ registry, serverName: 'embedded', replicaIndex: 1, uses: () => uses })
  count({ internalName: 'iris_3', protocol: 'rest', code: '200', seconds: 0.25 })
  count({ internalName: 'iris_3', protocol: 'grpc', code: '14', seconds: 0.5 })
  for (let index = 0; index < 2_010; index += 1)
    count({ internalName: `m_${String(index)}`, protocol: 'rest', code: '200', seconds: 0 })
  const lines = (await registry.metrics()).split('\n')
  const replica = 'server="embedded",server_replica="1"'
  const iris = `${replica},model="iris",model_internal="iris_3"`
  for (const line of [
    `seldon_model_infer_total{${iris},method_type="rest",code="200"} 1`,
    `seldon_model_infer_seconds_total{${iris},method_type="grpc",code="Unavailable"} 0.5`,
    `seldon_model_aggregate_infer_total{${replica},method_type="grpc"} 1`,
    `seldon_model_aggregate_infer_seconds_total{${replica},method_type="grpc"} 0.5`,
    `seldon_model_infer_api_seconds_bucket{le="0.25",${replica},method="rest",code="200"} 2011`,
    `millrace_agent_model_in_flight{${replica},model_internal="iris_3"} 2`,
    `millrace_agent_model_last_used_seconds{${replica},model_internal="iris_3"} 1.5`,
    `seldon_model_infer_total{${replica},model="_other",model_internal="_other",method_type="rest",code="200"} 11`,
  ])
    expect(lines).toContain(line)
})
