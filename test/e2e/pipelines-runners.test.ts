/**
 * Both runners side by side, on real Envoy, Redis and Kafka with real models: every acceptance case by REST, by gRPC and fed through
 * Kafka gives the expected tensors, and leaves the same records. Then a pipeline over topics under 100 requests a second: updated, with
 * gateways and engines that come and go.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { infer, type Protocol, PROTOCOLS } from '../../cli/client/infer-client.ts'
import type { PipelineResource } from '../../api/resources/resource.ts'
import type { PipelineStatus } from '../../api/resources/status.ts'
import { headerOf } from '../../dataflow/journal/decode.ts'
import { ERRORS_HEADER } from '../../dataflow/journal/topics.ts'
import { startKafka, type TestKafka } from '../support/kafka.ts'
import { until } from '../support/models.ts'
import { describeFailures, type Load, servedSince } from '../support/open-loop.ts'
import {
  applyCases,
  CASE_MODELS,
  floats,
  type Outputs,
  PIPELINE_CASES,
  type PipelineCase,
  SIMPLE,
  ERROR_CASES,
} from '../support/pipeline-cases.ts'
import { ADD, ADD_THEN_MULTIPLY, numbersPipeline, startPipelineLoad, untilServedBy } from '../support/pipeline-load.ts'
import { openPipelineTopics, outputsOf, type PipelineTopics, topicOf } from '../support/pipeline-topics.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { recordedBy } from '../support/recorded.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'
import { JAVASCRIPT_FLAGS, kafkaFlags } from '../support/stream-scene.ts'

type Runner = 'direct' | 'topics'
const RUNNERS: readonly Runner[] = ['direct', 'topics']
const WAYS = [...PROTOCOLS, 'kafka'] as const
type Way = (typeof WAYS)[number]
/** Of cases that only their deadline ends, over topics. */
const OPEN_MS = 1_000
const RECORDED_MS = 20_000

const SIDES = ['inputs', 'outputs'] as const
const TOPICS = [
  ...CASE_MODELS.flatMap((model) => SIDES.map((side) => `seldon.default.model.${model}.${side}`)),
  ...[...new Set(PIPELINE_CASES.map((one) => one.pipeline))].flatMap((pipeline) =>
    SIDES.map((side) => topicOf(pipeline, side)),
  ),
  'seldon.default.errors.errors',
]

let mesh: TestMesh
let kafka: TestKafka
let topics: PipelineTopics
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  kafka = await startKafka()
  mesh = await startMesh({
    replicas: 1,
    ...kafkaFlags(kafka.bootstrapServers),
    pipelineGateways: 2,
    engines: 2,
    modelGateways: 1,
    absent: ['pipeline-gateway-1', 'engine-1'],
    ...JAVASCRIPT_FLAGS,
  })
  topics = openPipelineTopics(kafka.bootstrapServers)
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  await topics.close()
  await mesh.stop()
  await kafka.stop()
})

const withRunner =
  (execution: Runner) =>
  (resource: PipelineResource): PipelineResource => ({
    ...resource,
    spec: { ...resource.spec, dataflow: { ...resource.spec.dataflow, execution } },
  })
const idOf = (runner: Runner, way: Way, index: number): string => `${runner}-${way}-${String(index)}`

async function ask(protocol: Protocol, { pipeline, inputs }: PipelineCase, headers: Record<string, string>) {
  const { response } = await infer(protocol, {
    ingress: new URL(`http://${mesh.ingress}`),
    model: `${pipeline}.pipeline`,
    request: JSON.stringify({ inputs }),
    headers,
    timeoutMs: 15_000,
  })
  const answer = JSON.parse(response) as { outputs: { name: string; data: unknown[] }[] }
  return answer.outputs.map(({ name, data }) => [name, data] as const)
}

async function feed({ pipeline, inputs }: PipelineCase, headers: Record<string, string>): Promise<Outputs> {
  const key = `0.${pipeline}.${headers['x-request-id'] ?? ''}`
  await topics.feed(pipeline, [
    { key, text: JSON.stringify({ inputs }), headers: Object.entries({ pipeline, ...headers }) },
  ])
  const result = await topics.resultOf(pipeline, key)
  if (headerOf(result.headers, ERRORS_HEADER) !== undefined) throw new Error(result.value.toString())
  return outputsOf(result)
}

const post = (path: string, inputs: readonly object[], headers: Record<string, string> = {}) =>
  fetch(`http://${mesh.ingress}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ inputs }),
    signal: AbortSignal.timeout(20_000),
  })

describe.each(RUNNERS)('executed %s', (runner) => {
  beforeAll(async () => {
    await applyCases(mesh.admin, withRunner(runner))
  }, SETUP_DEADLINE_MS)

  describe.each(WAYS)('by %s', (way) => {
    test.each(PIPELINE_CASES.map((one, index) => ({ one, index, name: one.name })))('$name', async ({ one, index }) => {
      const headers = {
        'x-request-id': idOf(runner, way, index),
        'x-foo': 'bar',
        ...(one.isOpen === true ? { 'x-request-timeout-ms': String(OPEN_MS) } : {}),
      }
      const answer = way === 'kafka' ? feed(one, headers) : ask(way, one, headers)
      if (one.gives instanceof RegExp) await expect(answer).rejects.toThrow(one.gives)
      else expect(await answer).toEqual(one.gives)
    })
  })

  test.each(ERROR_CASES)('$name', async ({ pipeline, inputs, told, error }) => {
    const refused = await post(`/v2/pipelines/${pipeline}/infer`, inputs)
    expect(refused.status).toBe(400)
    expect(await refused.json()).toMatchObject({ ...told, error: expect.stringMatching(error) as string })
  })

  test('41: a trigger that never comes is an error that names it, at the deadline at the latest', async () => {
    const headers = { 'x-request-timeout-ms': String(OPEN_MS) }
    const response = await post('/v2/pipelines/trigger-joins/infer', [floats('INPUT', 1)], headers)
    expect(response.status).toBe(runner === 'direct' ? 422 : 504)
    expect(await response.json()).toMatchObject({ error: expect.stringMatching(/ok[123]/) as string })
  })

  test('19: headers of the caller come back, and the version and the routes of the steps with them', async () => {
    const response = await post('/v2/models/tfsimples.pipeline/infer', SIMPLE, {
      'x-foo': 'bar',
      'x-request-id': `${runner}-19`,
    })
    expect(response.status).toBe(200)
    expect(response.headers.get('x-foo')).toBe('bar')
    expect(response.headers.get('x-pipeline-version')).toBe(runner === 'direct' ? '1' : '2')
    expect(response.headers.get('x-request-id')).toBe(`${runner}-19`)
    const route = response.headers.get('x-seldon-route') ?? ''
    for (const token of [':tfsimple1_1:', ':tfsimple2_1:', ':tfsimples.pipeline:']) expect(route).toContain(token)
  })
})

/** The direct runner knows when nothing can come any more: it fails the request, and cancels what is on its way. */
function isSame({ isOpen }: PipelineCase, direct: readonly string[], overTopics: readonly string[]): boolean {
  if (direct.length === 0) return false
  if (isOpen !== true) return direct.join('\n') === overTopics.join('\n')
  const edges = direct.filter((line) => !line.includes(ERRORS_HEADER))
  return edges.length > 0 && edges.every((line) => overTopics.includes(line))
}

test.each(WAYS)('by %s both runners leave the same records', async (way) => {
  const different = async (): Promise<readonly object[]> => {
    const recorded = recordedBy(await topics.all(TOPICS))
    return PIPELINE_CASES.flatMap((one, index) => {
      const [direct = [], overTopics = []] = RUNNERS.map((runner) => recorded.get(idOf(runner, way, index)) ?? [])
      return isSame(one, direct, overTopics) ? [] : [{ name: one.name, direct, overTopics }]
    })
  }
  let last: readonly object[] = []
  await until('the same records', async () => (last = await different()).length === 0, RECORDED_MS).catch(
    () => undefined, // what is different is shown
  )
  expect(last).toEqual([])
})

describe('a pipeline over topics at 100 requests a second', () => {
  let load: Load
  const overTopics = (steps: readonly string[]) => numbersPipeline({ steps, execution: 'topics' })
  const untilServing = (version: number): Promise<void> =>
    until(`version ${String(version)} to serve`, async () => {
      const status = (await mesh.admin.get('Pipeline', 'numbers')).resource.status as PipelineStatus | undefined
      return status?.servingVersion === version && status.state === 'PipelineReady'
    })
  /** So many more, none of which failed or was wrong. */
  const answers = async (count: number): Promise<void> => {
    const seen = load.outcomes.length
    await until(`${String(count)} more answers`, () => load.outcomes.length >= seen + count)
    expect(failed(), describeFailures({ sent: seen, failed: failed(), outcomes: load.outcomes })).toEqual([])
  }
  const failed = () => load.outcomes.filter(({ ok }) => !ok)

  beforeAll(async () => {
    await mesh.admin.apply(overTopics(ADD.steps))
    await untilServing(1)
    load = startPipelineLoad({
      ingress: mesh.ingress,
      pipeline: 'numbers',
      versions: { '1': ADD.compute, '2': ADD_THEN_MULTIPLY.compute },
    })
  }, SETUP_DEADLINE_MS)

  test('is updated: the old version or the new, then only the new', async () => {
    await answers(100)
    await mesh.admin.apply(overTopics(ADD_THEN_MULTIPLY.steps))
    await untilServing(2)
    await untilServedBy(load, '2')
    await answers(1)
    expect([...servedSince(load, 0)].toSorted()).toEqual(['1', '2'])
  })

  test('gateways come and go', async () => {
    await mesh.start('pipeline-gateway-1')
    await answers(100)
    await mesh.terminate('pipeline-gateway-0', 20_000)
    await answers(100)
  })

  test('engines come and go', async () => {
    await mesh.start('engine-1')
    await answers(100)
    await mesh.terminate('engine-0', 20_000)
    await answers(100)
    const report = await load.stop()
    expect(report.failed, describeFailures(report)).toEqual([])
    expect(report.outcomes).toHaveLength(report.sent)
  })
})
