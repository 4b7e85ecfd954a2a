/**
 * Pipelines through Envoy, on the embedded server with the JavaScript samples: the synchronous acceptance cases, by number of the
 * reference's list, REST and gRPC. Where that list says "redesign" the name says what holds here instead.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { infer, type Protocol, PROTOCOLS } from '../../cli/client/infer-client.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import { until } from '../support/models.ts'
import {
  applyCases,
  floats,
  type Outputs,
  PIPELINE_CASES,
  samplePipelines,
  SIMPLE,
  ERROR_CASES,
} from '../support/pipeline-cases.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({
    replicas: 1,
    pipelineGateways: 2,
    modelServerFlags: JAVASCRIPT_MODELS_FLAGS.modelServer,
    agentFlags: JAVASCRIPT_MODELS_FLAGS.agent,
    restarts: (name) => name.startsWith('pipeline-gateway'),
  })
  await applyCases(mesh.admin)
})
afterAll(() => mesh.stop())

async function ask(protocol: Protocol, name: string, inputs: readonly object[], headers = {}): Promise<Outputs> {
  const { response } = await infer(protocol, {
    ingress: new URL(`http://${mesh.ingress}`),
    model: `${name}.pipeline`,
    request: JSON.stringify({ inputs }),
    headers,
    timeoutMs: 15_000,
  })
  const answer = JSON.parse(response) as { outputs: { name: string; data: unknown[] }[]; model_name: string }
  expect(answer.model_name).toBe('')
  return answer.outputs.map(({ name: output, data }) => [output, data])
}

const post = (path: string, inputs: readonly object[], headers: Record<string, string> = {}) =>
  fetch(`http://${mesh.ingress}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ inputs }),
    signal: AbortSignal.timeout(20_000),
  })

describe.each(PROTOCOLS)('by %s', (protocol) => {
  test.each(PIPELINE_CASES)('$name', async ({ pipeline, inputs, gives }) => {
    const answer = ask(protocol, pipeline, inputs)
    if (gives instanceof RegExp) await expect(answer).rejects.toThrow(gives)
    else expect(await answer).toEqual(gives)
  })

  test('20: a pipeline that does not exist is not found', async () => {
    await expect(ask(protocol, 'nobody', [floats('INPUT', 1)])).rejects.toThrow(/nobody\.pipeline/)
  })
})

test.each(ERROR_CASES)('$name', async ({ pipeline, inputs, told, error }) => {
  const refused = await post(`/v2/pipelines/${pipeline}/infer`, inputs)
  expect(refused.status).toBe(400)
  expect(await refused.json()).toMatchObject({ ...told, error: expect.stringMatching(error) as string })
})

test('19: headers of the caller come back, and the version and the routes of the steps with them', async () => {
  const response = await post('/v2/models/tfsimples.pipeline/infer', SIMPLE, {
    'x-foo': 'bar',
    'x-request-id': 'id-19',
  })
  expect(response.status).toBe(200)
  expect(response.headers.get('x-foo')).toBe('bar')
  expect(response.headers.get('x-pipeline-version')).toBe('1')
  expect(response.headers.get('x-request-id')).toBe('id-19')
  const route = response.headers.get('x-seldon-route') ?? ''
  for (const token of [':tfsimple1_1:', ':tfsimple2_1:', ':tfsimples.pipeline:']) expect(route).toContain(token)
})

test('21: readiness and metadata of a pipeline are those of its models', async () => {
  const get = async (path: string) => {
    const response = await fetch(`http://${mesh.ingress}${path}`)
    return [response.status, await response.json()] as const
  }
  expect(await get('/v2/pipelines/tfsimples/ready')).toEqual([200, { name: 'tfsimples', ready: true }])
  expect(await get('/v2/models/tfsimples.pipeline')).toMatchObject([
    200,
    {
      name: 'tfsimples',
      inputs: [{ name: 'INPUT0', datatype: 'INT32' }, { name: 'INPUT1' }],
      outputs: [{ name: 'OUTPUT0' }, { name: 'OUTPUT1' }],
    },
  ])
  expect((await get('/v2/pipelines/nobody/ready'))[0]).toBe(404)
})

test('53: an update under load: every request is answered, by the old version or the new', async () => {
  const versions = new Set<string>()
  const failures: string[] = []
  let isLoading = true
  const load = async (): Promise<void> => {
    while (isLoading) {
      const response = await post('/v2/pipelines/version-test/infer', [floats('INPUT', 1, 2)])
      const text = await response.text()
      const version = response.headers.get('x-pipeline-version') ?? ''
      versions.add(version)
      const expected = version === '1' ? '[11,12]' : '[10,20]'
      if (response.status !== 200 || !text.includes(expected))
        failures.push(`${String(response.status)} v${version} ${text}`)
    }
  }
  const loads = Array.from({ length: 4 }, load)
  try {
    await until('some requests', () => versions.size > 0)
    for (const resource of samplePipelines('version-test-b')) await mesh.admin.apply(resource)
    await until('the new version', () => versions.has('2'))
  } finally {
    isLoading = false
    await Promise.all(loads)
  }
  expect(failures).toEqual([])
  expect([...versions].toSorted()).toEqual(['1', '2'])
})

test('54: a gateway is killed under load: no request hangs, and those that fail say so; the other one serves', async () => {
  const ends: string[] = []
  let isLoading = true
  const load = async (): Promise<void> => {
    while (isLoading) {
      const end = await post('/v2/pipelines/tfsimples/infer', SIMPLE).then(
        (response) => response.text().then(() => String(response.status)),
        (error: unknown) => (error instanceof Error && error.name === 'TimeoutError' ? 'HUNG' : 'broken'),
      )
      ends.push(end)
    }
  }
  const loads = Array.from({ length: 8 }, load)
  try {
    await until('some answers', () => ends.length > 100)
    await mesh.kill('pipeline-gateway-0')
    const after = ends.length
    await until('answers of the other', () => ends.slice(after).filter((end) => end === '200').length > 200)
  } finally {
    isLoading = false
    await Promise.all(loads)
  }
  expect(ends.filter((end) => end !== '200' && !/^50[234]$/.test(end))).toEqual([])
  await mesh.untilReady('pipeline-gateway-0')
})

test('without a scheduler pipelines go on, in a gateway that was started again, too', async () => {
  await mesh.kill('scheduler')
  await mesh.kill('pipeline-gateway-0')
  await mesh.untilReady('pipeline-gateway-0')
  const direct = `http://127.0.0.1:${String(mesh.ports.pipelineGateways[0]?.rest)}`
  const response = await fetch(`${direct}/v2/pipelines/tfsimples/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: SIMPLE }),
  })
  expect(response.status).toBe(200)
})
