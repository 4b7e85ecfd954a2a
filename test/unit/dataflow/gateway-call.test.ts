import { expect, test } from 'vitest'
import { isPassed, pipelineOf, requestIdOf, timeoutOf } from '../../../dataflow/pipeline-gateway/call.ts'
import { parseRoute } from '../../../dataflow/pipeline-gateway/rest/route.ts'

const values =
  (headers: Readonly<Record<string, readonly string[]>>) =>
  (name: string): readonly string[] =>
    headers[name] ?? []

test.each([
  [{ 'seldon-internal-model': ['a.pipeline', 'b.pipeline'], 'seldon-model': ['c.pipeline'] }, 'd', 'b'],
  [{ 'seldon-internal-model': ['a.pipeline, b.pipeline'] }, 'd', 'b'],
  [{ 'seldon-model': ['c.pipeline'] }, 'd', 'c'],
  [{}, 'd.pipeline', 'd'],
  [{}, 'd', 'd'],
])('headers %j and name %s mean pipeline %s (cases 8 to 10)', (headers, named, pipeline) => {
  expect(pipelineOf(values(headers as never), named)).toBe(pipeline)
})

test.each([['foo'], ['foo.model'], ['foo.bar'], ['foo.bar.pipeline'], ['.pipeline']])(
  'header %s is no pipeline (case 8)',
  (name) => {
    expect(() => pipelineOf(values({ 'seldon-model': [name] }), 'd')).toThrow(/names no pipeline/)
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
  expect(timeoutOf(values({}), 60_000)).toBe(60_000)
  expect(timeoutOf(values({ 'x-request-timeout-ms': ['5'] }), 60_000)).toBe(5)
  expect(timeoutOf(values({ 'x-request-timeout-ms': ['90000'] }), 60_000)).toBe(60_000)
  for (const wrong of ['0', '-1', '1.5', 'soon', ''])
    expect(() => timeoutOf(values({ 'x-request-timeout-ms': [wrong] }), 1)).toThrow(/x-request-timeout-ms/)
})

test("the caller's request id is kept unless it cannot stand in a key", () => {
  expect(requestIdOf(values({ 'x-request-id': ['r-1'] }), () => 'own')).toBe('r-1')
  for (const wrong of ['', 'two words', 'a\u0001', 'x'.repeat(300)])
    expect(requestIdOf(values({ 'x-request-id': [wrong] }), () => 'own')).toBe('own')
})

test('paths', () => {
  expect(parseRoute('POST', '/v2/models/p.pipeline/infer?x=1')).toEqual({ kind: 'infer', name: 'p.pipeline' })
  expect(parseRoute('POST', '/v2/pipelines/p/versions/3/infer')).toEqual({ kind: 'infer', name: 'p' })
  expect(parseRoute('GET', '/v2/pipelines/p')).toEqual({ kind: 'metadata', name: 'p' })
  expect(parseRoute('HEAD', '/v2/pipelines/p/ready')).toEqual({ kind: 'pipelineReady', name: 'p' })
  for (const [method, path] of [
    ['POST', '/v2/repository/models/p/unload'],
    ['GET', '/v2/models/p/infer'],
    ['POST', '/'],
  ] as const)
    expect(() => parseRoute(method, path)).toThrow(/is not a call of a pipeline/)
})
