/**
 * I8 on a real broker: with `wait: input` every request that got an answer has its input in Kafka, over a kill of a gateway and of
 * the broker; no request hangs. Keys are counted in and out. Over 10,000 requests: `npm run soak -- --pipelines`.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PipelineResource } from '../../api/resources/resource.ts'
import { waitFor } from '../../cli/wait.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { askIris, type KeptPipeline, startKeptLoad, startKeptPipeline } from '../support/kept-pipeline.ts'
import { until } from '../support/models.ts'
import { printLogsOfFailedTests } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

let kept: KeptPipeline
printLogsOfFailedTests(() => kept.mesh)

beforeAll(async () => {
  kept = await startKeptPipeline(1)
}, SETUP_DEADLINE_MS)
afterAll(() => kept.stop())

test('what was answered is in Kafka, over a kill of a gateway and of the broker, and nothing hangs', async () => {
  const { mesh, kafka } = kept
  const load = startKeptLoad(kept)
  try {
    await load.moreAnswers('at first', 300)
    await mesh.kill('pipeline-gateway-0')
    await load.moreAnswers('after the kill of a gateway', 300)
    const refusal = load.untilEnd('503')
    await kafka.brokers[0]?.kill()
    await refusal
    await kafka.brokers[0]?.start()
    await load.moreAnswers('after the broker came back', 300)
  } finally {
    await load.stop()
  }
  const { problems, answered } = await load.count()
  expect(problems).toEqual([])
  expect(answered).toBeGreaterThanOrEqual(900)
}, 180_000)

test('55: a pipeline that cleans up takes its two topics with it, under load, and leaves those of its models', async () => {
  const { mesh, kafka } = kept
  const brief: PipelineResource = {
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Pipeline',
    metadata: { name: 'brief' },
    spec: {
      steps: [{ name: 'iris' }],
      output: { steps: ['iris'] },
      dataflow: { wait: 'none', cleanTopicsOnDelete: true },
    },
  }
  await mesh.admin.apply(brief)
  await waitFor(mesh.admin, { kind: 'Pipeline', name: 'brief' }, 'available', 60_000)
  const statuses: number[] = []
  let isLoading = true
  const call = async (): Promise<void> => {
    while (isLoading) statuses.push((await askIris(mesh.ingress, 'brief')).status)
  }
  const callers = Array.from({ length: 4 }, call)
  try {
    await until('answers', () => statuses.filter((status) => status === 200).length > 50)
    await mesh.admin.delete('Pipeline', 'brief')
    await until('the pipeline to be gone', async () => {
      const pipelines = await mesh.admin.list('Pipeline')
      return !pipelines.some(({ metadata }) => metadata.name === 'brief')
    })
  } finally {
    isLoading = false
    await Promise.all(callers)
  }
  expect(new Set(statuses)).toEqual(new Set([200, 404]))
  const admin = connectKafka(parseConnection('test', { 'bootstrap.servers': kafka.bootstrapServers }), 'test').admin()
  const topics = ['pipeline.brief', 'model.iris'].flatMap((name) =>
    ['inputs', 'outputs'].map((side) => `seldon.default.${name}.${side}`),
  )
  expect([...(await admin.partitions(topics)).keys()].toSorted()).toEqual(topics.slice(2))
  await admin.close()
})
