import { expect, test } from 'vitest'
import {
  type CallFields,
  isPassed,
  pipelineOf,
  requestIdOf,
  timeoutOf,
} from '../../../dataflow/pipeline-gateway/call.ts'
import { inferAnswer } from '../../../dataflow/pipeline-gateway/rest/answer.ts'
import { toRequestFields } from '../../../dataflow/pipeline-gateway/rest/request-fields.ts'
import { parseRoute } from '../../../dataflow/pipeline-gateway/rest/route.ts'

const fields = (given: Partial<CallFields>): CallFields => ({
  internalModel: undefined,
  model: undefined,
  requestId: undefined,
  timeoutMs: undefined,
  ...given,
})

test.each([
  [{ internalModel: 'b.pipeline', model: 'c.pipeline' }, 'd', 'b'],
  [{ internalModel: 'a.pipeline, b.pipeline' }, 'd', 'b'],
  [{ internalModel: ' ', model: 'c.pipeline' }, 'd', 'c'],
  [{ model: 'c.pipeline' }, 'd', 'c'],
  [{}, 'd.pipeline', 'd'],
  [{}, 'd', 'd'],
])('headers %j and name %s mean pipeline %s (cases 8 to 10)', (headers, named, pipeline) => {
  expect(pipelineOf(fields(headers), named)).toBe(pipeline)
})

test.each([['foo'], ['foo.model'], ['foo.bar'], ['foo.bar.pipeline'], ['.pipeline']])(
  'header %s is no pipeline (case 8)',
  (name) => {
    expect(() => pipelineOf(fields({ model: name }), 'd')).toThrow(/names no pipeline/)
  },
)

test('what callers say themselves is passed on, what belongs to one hop is not', () => {
  const passed = [
    'x-foo',
    'x-request-id',
    'x-seldon-route',
    'content-type',
    'x-envoy-attempt-count',
    'x-forwarded-proto',
    'x-millrace-target',
    'x-request-timeout-ms',
  ]
  expect(passed.filter(isPassed)).toEqual(['x-foo', 'x-request-id', 'x-seldon-route'])
})

test('the shorter timeout counts, and only whole milliseconds are one', () => {
  expect(timeoutOf(undefined, 60_000)).toBe(60_000)
  expect(timeoutOf('5', 60_000)).toBe(5)
  expect(timeoutOf('90000', 60_000)).toBe(60_000)
  for (const wrong of ['0', '-1', '1.5', 'soon', '']) expect(() => timeoutOf(wrong, 1)).toThrow(/x-request-timeout-ms/)
})

test("the caller's request id is kept unless it cannot stand in a key", () => {
  expect(requestIdOf('r-1', () => 'own')).toBe('r-1')
  for (const wrong of ['', 'two words', 'a\u0001', 'x'.repeat(300)]) expect(requestIdOf(wrong, () => 'own')).toBe('own')
})

test('paths', () => {
  expect(parseRoute('POST', '/v2/models/p.pipeline/infer?x=1')).toEqual({ kind: 'infer', name: 'p.pipeline' })
  expect(parseRoute('POST', '/v2/models/p.pipeline/infer')).toEqual({ kind: 'infer', name: 'p.pipeline' })
  expect(parseRoute('POST', '/v2/pipelines/a%20b/infer')).toEqual({ kind: 'infer', name: 'a b' })
  expect(parseRoute('POST', '/v2/pipelines/p/versions/3/infer')).toEqual({ kind: 'infer', name: 'p' })
  expect(parseRoute('GET', '/v2/pipelines/p')).toEqual({ kind: 'metadata', name: 'p' })
  expect(parseRoute('HEAD', '/v2/pipelines/p/ready')).toEqual({ kind: 'pipelineReady', name: 'p' })
  for (const [method, path] of [
    ['POST', '/v2/repository/models/p/unload'],
    ['GET', '/v2/models/p/infer'],
    ['POST', '/'],
    ['POST', '/v2/models//infer'],
    ['POST', '/v2/models/infer'],
  ] as const)
    expect(() => parseRoute(method, path)).toThrow(/is not a call of a pipeline/)
})

test('the last of several headers with one name is meant, but the first request id', () => {
  const { passed, ...known } = toRequestFields([
    ['host', 'h'],
    ['seldon-internal-model', 'a.pipeline'],
    ['seldon-internal-model', 'b.pipeline'],
    ['seldon-model', 'c.pipeline'],
    ['x-request-id', 'r1'],
    ['x-request-id', 'r2'],
    ['x-request-timeout-ms', '1'],
    ['x-request-timeout-ms', '2'],
    ['inference-header-content-length', '3'],
    ['x-foo', 'bar'],
    ['x-foo', 'baz'],
    ['x-odd', 'caf\u00e9'],
    ['x-envoy-attempt-count', '1'],
  ])
  expect(known).toEqual({
    internalModel: 'b.pipeline',
    model: 'c.pipeline',
    requestId: 'r1',
    timeoutMs: '2',
    jsonLength: '3',
  })
  expect(passed).toEqual([
    ['x-foo', 'bar'],
    ['x-foo', 'baz'],
  ])
})

test('a caller gets its headers back, each once, and nothing that ends a line', () => {
  const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: [] }
  const passed = [
    ['x-foo', 'bar'],
    ['x-foo', 'baz'],
    ['x-seldon-route', 'own'],
  ] as const
  const answer = (routes: readonly string[]) =>
    inferAnswer({ end: { kind: 'answered', response, routes }, requestId: 'r', version: 2 }, undefined, passed).lines
  const head = 'x-request-id: r\r\nx-foo: baz\r\nx-pipeline-version: 2\r\n'
  expect(answer([':a:', ':b:'])).toBe(`${head}x-seldon-route: :a:,:b:\r\ncontent-type: application/json\r\n`)
  expect(answer(['a\r\nset-cookie: b'])).toBe(`${head}content-type: application/json\r\n`)
  expect(answer(['\u010d\u010a'])).toBe(`${head}content-type: application/json\r\n`)
})
