/**
 * Pipelines through Envoy, on the embedded server with the JavaScript samples: the synchronous acceptance cases, by number of the
 * reference's list, REST and gRPC. Where that list says "redesign" the name says what holds here instead.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseManifests } from '../../api/resources/manifest.ts'
import type { ModelResource, PipelineResource } from '../../api/resources/resource.ts'
import { infer, type Protocol, PROTOCOLS } from '../../cli/client/infer-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { packageRoot } from '../../kit/root.ts'
import { JAVASCRIPT_MODELS_FLAGS } from '../../up/servers/javascript-models.ts'
import { untilAvailable } from '../support/models.ts'
import { until } from '../support/models.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

const MODELS = join(packageRoot, 'samples/models')
const PIPELINES = join(packageRoot, 'samples/pipelines')
const NAMES = [
  'tfsimple1',
  'tfsimple2',
  'tfsimple3',
  'add10',
  'mul10',
  'conditional',
  'check',
  'counter',
  'identity-loop',
  'identity-output',
  'outlier-error',
]
const SAMPLES = [
  'tfsimples',
  'tfsimples-input',
  'tfsimples-join',
  'tfsimples-join-outlier',
  'pipeline-inputs',
  'conditional',
  'trigger-joins',
  'counter',
  'error',
  'version-test-a',
]
const READY_MS = 30_000

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
  const models = NAMES.map((name) => resourcesOf(MODELS, `${name}.yaml`)).flat()
  const more = SAMPLES.flatMap((name) => resourcesOf(PIPELINES, `${name}.yaml`))
  for (const resource of [...models, ...more, ...EXTRA]) await mesh.admin.apply(resource)
  for (const { kind, metadata } of [...models, ...more])
    if (kind === 'Model') await untilAvailable(mesh.admin, metadata.name)
  for (const { kind, metadata } of [...more, ...EXTRA])
    if (kind === 'Pipeline') await waitFor(mesh.admin, { kind, name: metadata.name }, 'available', READY_MS)
})
afterAll(() => mesh.stop())

type Resource = ModelResource | PipelineResource

function resourcesOf(folder: string, file: string): readonly Resource[] {
  const text = readFileSync(join(folder, file), 'utf8')
  return parseManifests(text, { name: file, folder }).map(({ resource }) => resource as Resource)
}

const pipeline = (name: string, spec: PipelineResource['spec']): PipelineResource => ({
  apiVersion: 'mlops.seldon.io/v1alpha1',
  kind: 'Pipeline',
  metadata: { name },
  spec,
})

/** Pipelines that no sample shows. */
const EXTRA: readonly PipelineResource[] = [
  pipeline('endless', {
    allowCycles: true,
    maxStepRevisits: 2,
    steps: [
      {
        name: 'add10',
        inputs: ['endless.inputs.INPUT', 'add10.outputs.OUTPUT'],
        inputsJoinType: 'any',
        tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' },
      },
      {
        name: 'mul10',
        inputs: ['add10'],
        tensorMap: { 'add10.outputs.OUTPUT': 'INPUT' },
        triggers: ['add10.outputs.stop'],
      },
    ],
    output: { steps: ['mul10'] },
  }),
  pipeline('drift', { steps: [{ name: 'add10' }, { name: 'outlier-error' }], output: { steps: ['add10'] } }),
]

type Outputs = readonly (readonly [name: string, data: readonly unknown[]])[]

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

const floats = (name: string, ...data: number[]) => ({ name, datatype: 'FP32', shape: [data.length], data })
const ints = (name: string, ...data: number[]) => ({ name, datatype: 'INT32', shape: [data.length], data })
const ok = (name: string) => ({ name, datatype: 'INT32', shape: [1], data: [1] })
const ROW = Array.from({ length: 16 }, (_, index) => index + 1)
const SIMPLE = ['INPUT0', 'INPUT1'].map((name) => ({ name, datatype: 'INT32', shape: [1, 16], data: ROW }))
const DOUBLED = ROW.map((value) => 2 * value)

describe.each(PROTOCOLS)('by %s', (protocol) => {
  test('27: a chain renames both outputs of its first step', async () => {
    expect(await ask(protocol, 'tfsimples', SIMPLE)).toEqual([
      ['OUTPUT0', DOUBLED],
      ['OUTPUT1', DOUBLED],
    ])
  })

  test("28: a step takes a tensor of another step's inputs and one of its outputs", async () => {
    expect(await ask(protocol, 'tfsimples-input', SIMPLE)).toEqual([
      ['OUTPUT0', ROW],
      ['OUTPUT1', ROW],
    ])
  })

  test('29: a join takes one tensor of each of two steps', async () => {
    expect(await ask(protocol, 'join', SIMPLE)).toEqual([
      ['OUTPUT0', DOUBLED],
      ['OUTPUT1', DOUBLED],
    ])
  })

  test("31: an inner join of outputs keeps both tensors of the same name, in the spec's order", async () => {
    expect(
      await ask(protocol, 'pipeline-inputs', [floats('INPUT0', 1, 2, 3, 4), floats('INPUT1', 1, 2, 3, 4)]),
    ).toEqual([
      ['OUTPUT', [10, 20, 30, 40]],
      ['OUTPUT', [11, 12, 13, 14]],
    ])
  })

  test('34: of a choice only the chosen step runs', async () => {
    const inputs = [floats('INPUT0', 1, 2, 3, 4), floats('INPUT1', 1, 2, 3, 4)]
    expect(await ask(protocol, 'conditional-branches', [ints('CHOICE', 0), ...inputs])).toEqual([
      ['OUTPUT', [10, 20, 30, 40]],
    ])
    expect(await ask(protocol, 'conditional-branches', [ints('CHOICE', 1), ...inputs])).toEqual([
      ['OUTPUT', [11, 12, 13, 14]],
    ])
  })

  test('41, 43: triggers decide which step runs and are not given to it; without one the error names them', async () => {
    const input = floats('INPUT', 1, 2, 3, 4)
    expect(await ask(protocol, 'trigger-joins', [input, ok('ok1')])).toEqual([['OUTPUT', [10, 20, 30, 40]]])
    expect(await ask(protocol, 'trigger-joins', [input, ok('ok3')])).toEqual([['OUTPUT', [11, 12, 13, 14]]])
    await expect(ask(protocol, 'trigger-joins', [input])).rejects.toThrow(/trigger-joins : .*ok[123]/)
  })

  test('42: a check that gives nothing lets the step behind it not run', async () => {
    expect(await ask(protocol, 'joincheck', SIMPLE)).toEqual([
      ['OUTPUT0', DOUBLED],
      ['OUTPUT1', DOUBLED],
    ])
    const large = SIMPLE.map((tensor) => ({ ...tensor, data: ROW.map((value) => value * 100) }))
    await expect(ask(protocol, 'joincheck', large)).rejects.toThrow(/joincheck : .*check/)
  })

  test('48: a cycle counts to ten', async () => {
    const outputs = Object.fromEntries(await ask(protocol, 'counter-pipeline', [ints('counter', 0)]))
    expect(outputs).toEqual({ output: [10], stop: [true] })
  })

  test('49: an endless loop ends after maxStepRevisits, with an error of the pipeline', async () => {
    await expect(ask(protocol, 'endless', [floats('INPUT', 1)])).rejects.toThrow(/endless : ERROR:/)
  })

  test('18: an error of a step names the step and is of its class', async () => {
    await expect(ask(protocol, 'error', [floats('INPUT', 1e9)])).rejects.toThrow(/outlier-error : /)
  })

  test('20: a pipeline that does not exist is not found', async () => {
    await expect(ask(protocol, 'nobody', [floats('INPUT', 1)])).rejects.toThrow(/nobody\.pipeline/)
  })
})

test('18, 49 by REST: status and body', async () => {
  const refused = await post('/v2/pipelines/error/infer', [floats('INPUT', 1e9)])
  expect(refused.status).toBe(400)
  expect(await refused.json()).toMatchObject({
    source: 'outlier-error',
    error: expect.stringMatching(/^outlier-error : /) as string,
  })
  const endless = await post('/v2/pipelines/endless/infer', [floats('INPUT', 1)])
  expect(endless.status).toBe(400)
  expect(await endless.json()).toMatchObject({
    source: 'endless',
    error: expect.stringMatching(/^endless : ERROR:/) as string,
  })
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

test('a side branch that fails fails no request', async () => {
  expect(await ask('rest', 'drift', [floats('INPUT', 1e9)])).toEqual([['OUTPUT', [1e9 + 10].map(Math.fround)]])
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
    for (const resource of resourcesOf(PIPELINES, 'version-test-b.yaml')) await mesh.admin.apply(resource)
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
