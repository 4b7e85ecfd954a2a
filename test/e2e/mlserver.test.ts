/** Real scikit-learn models on two real MLServers, asked through Envoy, whose filters put the versioned name into each call. */
import { credentials, Metadata, status } from '@grpc/grpc-js'
import { join } from 'node:path'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import type { ModelMetadataResponse__Output } from '../../api/generated/inference/ModelMetadataResponse.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import type { ModelResource, PipelineResource } from '../../api/resources/resource.ts'
import { encodeElements } from '../../api/oip/elements.ts'
import { createModelClient, type ModelEnd } from '../../dataflow/model-client/model-client.ts'
import { waitFor } from '../../cli/wait.ts'
import { packageRoot } from '../../kit/root.ts'
import { countRequests } from '../support/envoy-admin.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { applyAvailable, modelResource, until, untilAvailable, untilDeleted, untilModel } from '../support/models.ts'
import { describeFailures, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const V1 = { storageUri: join(packageRoot, 'samples/iris-sklearn/model'), requirements: ['sklearn'] }
const V2 = { storageUri: join(packageRoot, 'samples/iris-sklearn-v2/model'), requirements: ['sklearn'] }
const FEATURES = [6.3, 2.9, 5.2, 1.7]
/** Of one replica's processor; what is tested is what happens to requests, not how many there may be. */
const RATE = 20

let mesh: TestMesh
let client: InstanceType<typeof GRPCInferenceService>
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'mlserver', pipelineGateways: 1, agentFlags: ['--health-deadline-ms', '2000'] })
  client = new GRPCInferenceService(mesh.ingress, credentials.createInsecure(), GRPC_OPTIONS)
  await applyAvailable(mesh.admin, 'iris', V1)
}, SETUP_DEADLINE_MS)
afterAll(async () => {
  client.close()
  await mesh.stop()
})

interface Answer {
  readonly model_name: string
  readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[]
}
async function infer(model: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://${mesh.ingress}/v2/models/${model}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: FEATURES }] }),
  })
}
const deadline = (): { deadline: number } => ({ deadline: Date.now() + 10_000 })

test.each([
  { path: 'direct', model: 'iris' },
  { path: 'agent', model: 'proxied' },
] as const)('REST and gRPC, by path, header and message, reach the versioned model: $path', async ({ path, model }) => {
  await applyAvailable(mesh.admin, model, { ...V1, dataPath: path })
  const served = `${model}_1`
  for (const [name, headers] of [
    [model, {}],
    ['anything', { 'seldon-model': model }],
  ] as const) {
    const response = await infer(name, headers)
    expect(response.status).toBe(200)
    expect(response.headers.get('x-seldon-route')).toBe(`:${served}:`)
    expect((await response.json()) as Answer).toMatchObject({ model_name: served, outputs: [{ data: [2] }] })
  }
  const request = {
    modelName: model,
    inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: FEATURES } }],
  }
  for (const headers of [{}, { 'seldon-model': model }]) {
    const metadata = new Metadata()
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
    const answer = await grpcCall<ModelInferResponse__Output>((callback) =>
      client.ModelInfer(request, metadata, deadline(), callback),
    )
    expect(answer.modelName).toBe(served)
    expect(answer.outputs[0]?.contents?.int64Contents.map(Number)).toEqual([2])
  }
})

test('a pipeline gateway, which speaks gRPC over HTTP/1.1, is answered, and told what is wrong', async () => {
  const limits = { concurrent: 2, queued: 2 }
  const models = createModelClient({ ingress: `http://${mesh.ingress}`, tls: () => undefined, connections: 2, limits })
  const ask = (shape: readonly number[], name: string): Promise<ModelEnd> =>
    new Promise((resolve) => {
      const bytes = encodeElements(name, 'FP32', FEATURES)
      const tensor = { name, datatype: 'FP32', shape, parameters: {}, bytes } as const
      const request = { id: '', parameters: {}, inputs: [tensor], outputs: [] }
      models.infer({ model: 'iris', request, headers: [], timeoutMs: 10_000 }, resolve)
    })
  expect(await ask([1, 4], 'predict')).toMatchObject({ kind: 'answered', routes: [':iris_1:'] })
  expect(await ask([2, 2], 'predict')).toMatchObject({
    kind: 'failed',
    failure: { message: expect.stringContaining('features') as string },
  })
  expect(await models.isReady('iris', 10_000)).toBe(true)
  models.close()
})

test('a pipeline joins models of MLServer, straight and by way of the agent', async () => {
  const joined: PipelineResource = {
    apiVersion: 'mlops.seldon.io/v1alpha1',
    kind: 'Pipeline',
    metadata: { name: 'joined' },
    spec: { steps: [{ name: 'iris' }, { name: 'proxied' }], output: { steps: ['iris', 'proxied'] } },
  }
  await mesh.admin.apply(joined)
  await waitFor(mesh.admin, { kind: 'Pipeline', name: 'joined' }, 'available', 30_000)
  const response = await infer('joined.pipeline')
  expect([response.status, await response.json()]).toMatchObject([
    200,
    {
      outputs: [
        { name: 'predict', datatype: 'INT64', shape: [1, 1], data: [2] },
        { name: 'predict', data: [2] },
      ],
    },
  ])
  const routes = response.headers.get('x-seldon-route') ?? ''
  for (const route of [':iris_1:', ':proxied_1:']) expect(routes).toContain(route)
  const answer = await grpcCall<ModelInferResponse__Output>((callback) =>
    client.ModelInfer(
      {
        modelName: 'joined.pipeline',
        inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: FEATURES } }],
      },
      new Metadata(),
      deadline(),
      callback,
    ),
  )
  expect(answer.outputs.map(({ contents }) => contents?.int64Contents.map(Number))).toEqual([[2], [2]])
  const wrong = await fetch(`http://${mesh.ingress}/v2/pipelines/joined/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 3], data: [1, 2, 3] }] }),
  })
  expect(wrong.status).toBeGreaterThanOrEqual(400)
  expect(await wrong.json()).toMatchObject({ error: expect.stringMatching(/^(?:iris|proxied) : /) as string })
  const metadata = await fetch(`http://${mesh.ingress}/v2/models/joined.pipeline`)
  expect(metadata.status).toBe(200)
})

test('a stream of inferences passes through Envoy to a server that has it', async () => {
  const metadata = new Metadata()
  metadata.set('seldon-model', 'iris')
  const stream = client.ModelStreamInfer(metadata, deadline())
  const ended = new Promise((resolve) => {
    const answers: ModelInferResponse__Output[] = []
    stream.on('data', (one: ModelInferResponse__Output) => answers.push(one))
    stream.on('error', resolve)
    stream.on('end', () => {
      resolve(answers.map(({ modelName }) => modelName))
    })
  })
  stream.write({
    modelName: 'iris',
    inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: FEATURES } }],
  })
  stream.end()
  expect(await ended).toEqual(['iris_1'])
})

test('metadata and readiness of a model and of the mesh', async () => {
  const get = (path: string): Promise<Response> => fetch(`http://${mesh.ingress}${path}`)
  expect(await (await get('/v2/models/iris')).json()).toMatchObject({ name: 'iris_1' })
  expect((await get('/v2/models/iris/ready')).status).toBe(200)
  expect((await get('/v2/health/ready')).status).toBe(200)
  const answer = await grpcCall<ModelMetadataResponse__Output>((callback) =>
    client.ModelMetadata({ name: 'iris' }, deadline(), callback),
  )
  expect(answer.name).toBe('iris_1')
})

test('an update under load fails no request, and MLServer keeps nothing of the old version', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'iris', ratePerSecond: RATE })
  await until('answers of version 1', () => load.outcomes.length > RATE)
  await mesh.admin.apply(modelResource('iris', V2))
  await untilModel(
    mesh.admin,
    'iris',
    (s) => s.state === 'ModelAvailable' && s.servingVersion === 2 && (s.versions ?? []).length === 1,
  )
  const after = load.outcomes.length
  await until('more answers', () => load.outcomes.length > after + RATE)
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
  expect(new Set(report.outcomes.map((outcome) => outcome.servedBy))).toEqual(new Set(['iris_1', 'iris_2']))
  expect((await indexOf(0)).toSorted()).toEqual(['iris_2', 'proxied_1'])
})

test("a corrupt artefact: the status carries MLServer's message, and the old version serves", async () => {
  const corrupt = join(mesh.folder, 'corrupt')
  mkdirSync(corrupt)
  writeFileSync(join(corrupt, 'model.joblib'), 'this is no joblib')
  await mesh.admin.apply(modelResource('iris', { ...V2, storageUri: corrupt }))
  const failed = await untilModel(mesh.admin, 'iris', (s) => s.state === 'ModelFailed', 60_000)
  expect(failed).toMatchObject({
    servingVersion: 2,
    availableReplicas: 2,
    reason: expect.stringContaining('pop from empty list') as string,
  })
  expect((await infer('iris')).headers.get('x-seldon-route')).toBe(':iris_2:')
  await mesh.admin.rollback('iris', 0)
  await untilAvailable(mesh.admin, 'iris')
})

test('parameters reach the runtime', async () => {
  const parameters: ModelResource['spec']['parameters'] = [{ name: 'predict_fn', value: 'predict_proba' }]
  await applyAvailable(mesh.admin, 'tuned', { ...V1, parameters, replicas: 1 })
  const { outputs } = (await (await infer('tuned')).json()) as Answer
  expect(outputs[0]).toMatchObject({ name: 'predict_proba' })
  expect(outputs[0]?.data).toHaveLength(3)
})

test('a model that requires what no MLServer offers is not placed, and says so', async () => {
  await mesh.admin.apply(modelResource('boosted', { ...V1, requirements: ['tensorflow'], replicas: 1 }))
  const status = await untilModel(mesh.admin, 'boosted', (s) => s.state === 'ScheduleFailed')
  expect(`${status.reason ?? ''} ${JSON.stringify(status.placement ?? '')}`).toContain('tensorflow')
  await mesh.admin.delete('Model', 'boosted')
  await untilDeleted(mesh.admin, 'boosted')
})

test('an MLServer that is killed and comes back serves its models again', async () => {
  await mesh.kill('mlserver-0')
  await untilModel(mesh.admin, 'iris', (s) => s.availableReplicas === 1)
  expect((await infer('iris')).status).toBe(200)
  await mesh.start('mlserver-0')
  await untilModel(mesh.admin, 'iris', (s) => s.availableReplicas === 2, 60_000)
  await mesh.kill('mlserver-1')
  await untilModel(mesh.admin, 'iris', (s) => s.availableReplicas === 1)
  expect((await infer('iris')).status).toBe(200)
  await mesh.start('mlserver-1')
  await untilModel(mesh.admin, 'iris', (s) => s.availableReplicas === 2, 60_000)
})

test('one that came back empty while nobody could tell Envoy: the other one answers', async () => {
  await mesh.kill('scheduler')
  await mesh.kill('agent-mlserver-0')
  await mesh.kill('mlserver-0')
  await mesh.start('mlserver-0')
  const load = startLoad({ ingress: mesh.ingress, model: 'iris', ratePerSecond: RATE })
  const asked = () => countRequests(mesh.ports.envoys[0]?.admin ?? 0, `127.0.0.1:${String(emptyRest())}`)
  const before = await asked()
  await until('Envoy to have asked the empty one', async () => (await asked()) > before + 5)
  await until('answers', () => load.outcomes.length > 3 * RATE)
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
  await mesh.start('scheduler')
  await mesh.start('agent-mlserver-0')
  await untilModel(mesh.admin, 'iris', (s) => s.availableReplicas === 2, 60_000)
})

test('a class that answers 404 itself is asked once', async () => {
  const folder = join(mesh.folder, 'picky')
  const seen = join(mesh.folder, 'picky.seen')
  mkdirSync(folder)
  writeFileSync(join(folder, 'picky.py'), PICKY.replace('SEEN', seen))
  await applyAvailable(mesh.admin, 'picky', { storageUri: folder, requirements: ['python'] })
  expect((await infer('picky')).status).toBe(404)
  expect(readFileSync(seen, 'utf8')).toBe('x')
  const request = { modelName: 'picky', inputs: [] }
  await expect(grpcCall((callback) => client.ModelInfer(request, deadline(), callback))).rejects.toMatchObject({
    code: status.NOT_FOUND,
  })
  expect(readFileSync(seen, 'utf8')).toBe('xx')
  await mesh.admin.delete('Model', 'picky')
  await untilDeleted(mesh.admin, 'picky', 60_000)
})

const PICKY = `
from mlserver import MLModel
from mlserver.errors import MLServerError

class Picky(MLModel):
    async def predict(self, payload):
        with open("SEEN", "a") as file:
            file.write("x")
        raise MLServerError("Model of that customer not found", 404)
`
const emptyRest = (): number => mesh.ports.replicas[0]?.rest ?? 0

test('an explainer finds what it explains through Envoy', async () => {
  const folder = join(mesh.folder, 'asker')
  mkdirSync(folder)
  writeFileSync(join(folder, 'asker.py'), ASKER)
  const explainer = { type: 'anchor_tabular', modelRef: 'iris' }
  await applyAvailable(mesh.admin, 'asker', { storageUri: folder, requirements: ['python'], explainer, replicas: 1 })
  const answer = await infer('asker')
  expect(answer.status, await answer.clone().text()).toBe(200)
  const direct = (await (await infer('iris')).json()) as Answer
  expect(((await answer.json()) as Answer).outputs).toEqual(direct.outputs)
  await mesh.admin.delete('Model', 'asker')
  await untilDeleted(mesh.admin, 'asker', 60_000)
})

const ASKER = `
import asyncio
import json
import urllib.request
from mlserver import MLModel
from mlserver.types import InferenceResponse

class Asker(MLModel):
    async def predict(self, payload):
        extra = self.settings.parameters.extra
        assert extra["explainer_type"] == "anchor_tabular"
        features = {"name": "predict", "datatype": "FP32", "shape": [1, 4], "data": ${JSON.stringify(FEATURES)}}
        body = json.dumps({"inputs": [features]}).encode()
        asked = urllib.request.Request(extra["infer_uri"], body, {"content-type": "application/json"})
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(asked).read())
        return InferenceResponse.model_validate_json(answer)
`

test('a deleted model is gone from Envoy and from MLServer', async () => {
  for (const name of ['iris', 'proxied', 'tuned']) {
    await mesh.admin.delete('Model', name)
    await untilDeleted(mesh.admin, name, 60_000)
    expect((await infer(name)).status).toBe(404)
  }
  expect([await indexOf(0), await indexOf(1)]).toEqual([[], []])
})

/** What one MLServer finds in its repository, loaded or not. */
async function indexOf(replica: number): Promise<string[]> {
  const port = mesh.ports.replicas[replica]?.rest ?? 0
  const response = await fetch(`http://127.0.0.1:${String(port)}/v2/repository/index`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{}',
  })
  return ((await response.json()) as { readonly name: string }[]).map(({ name }) => name)
}
