import { Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createGatewayMetrics } from '../../../dataflow/pipeline-gateway/metrics.ts'
import { toPipelineFailure } from '../../../dataflow/runner/pipeline-request.ts'
import { ServingError } from '../../../kit/errors.ts'

test('requests are counted once, by pipeline and code, however many ask at the same time', async () => {
  const registry = new Registry()
  const count = createGatewayMetrics(registry, { running: () => 0, held: () => 1, connected: () => true })
  const response = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: [] }
  const late = toPipelineFailure('p', new ServingError('DEADLINE_EXCEEDED', 'too late'))
  count('rest', 'p', { kind: 'answered', response, routes: [] }, 250)
  count('rest', 'p', { kind: 'answered', response, routes: [] }, 500)
  count('rest', 'p', { kind: 'failed', failure: late }, 1_000)
  count('grpc', undefined, { kind: 'failed', failure: late }, 2_000)

  const [first, second] = await Promise.all([registry.metrics(), registry.metrics()])
  expect(second).toBe(first)
  const of = (name: string): readonly string[] => first.split('\n').filter((line) => line.startsWith(`${name}{`))
  const own = 'server="pipeline-gateway"'
  const unknown = `${own},pipeline="_unknown",method_type="grpc",code="DeadlineExceeded"`
  expect(of('seldon_pipeline_infer_total')).toEqual([
    `seldon_pipeline_infer_total{${own},pipeline="p",method_type="rest",code="200"} 2`,
    `seldon_pipeline_infer_total{${own},pipeline="p",method_type="rest",code="504"} 1`,
    `seldon_pipeline_infer_total{${unknown}} 1`,
  ])
  expect(of('seldon_pipeline_infer_seconds_total')[0]).toMatch(/ 0\.75$/)
  expect(of('seldon_pipeline_aggregate_infer_total')).toEqual([
    `seldon_pipeline_aggregate_infer_total{${own},method_type="rest"} 3`,
    `seldon_pipeline_aggregate_infer_total{${own},method_type="grpc"} 1`,
  ])
  expect(of('seldon_pipeline_aggregate_infer_seconds_total')[0]).toMatch(/ 1\.75$/)
})
