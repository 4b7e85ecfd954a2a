/** The agent beside the real MLServer with a real scikit-learn model. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import type { AgentConfig } from '../../agent/config.ts'
import { packageRoot } from '../../kit/root.ts'
import { type AgentRig, createAgentRig, type RunningAgent } from '../support/agent-rig.ts'
import { desiredModel, type FakeConnection } from '../support/fake-scheduler.ts'
import { grpcCall } from '../support/grpc-call.ts'
import { type MlserverProcess, startMlserver } from '../support/mlserver-process.ts'
import { SETUP_DEADLINE_MS } from '../support/tools.ts'

const SAMPLES = join(packageRoot, 'samples')
const INPUTS = [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [6.3, 2.9, 5.2, 1.7] }]
const SKLEARN = { requirements: ['sklearn'] }

let rig: AgentRig
let connection: FakeConnection
let server: MlserverProcess
let generation = 0
let agent: RunningAgent
let connections = 0

beforeAll(async () => {
  rig = await createAgentRig()
  await mkdir(rig.repository)
  server = await startMlserver(rig.repository)
  await startAgent()
}, SETUP_DEADLINE_MS)

async function startAgent(changes: Partial<AgentConfig> = {}): Promise<void> {
  agent = await rig.startAgent({
    serverType: 'mlserver',
    serverRestPort: server.restPort,
    serverGrpcPort: server.grpcPort,
    artifactRoots: [SAMPLES, rig.artifacts],
    healthDeadlineMs: 1_000,
    loadDeadlineMs: 60_000,
    ...changes,
  })
  connection = await rig.scheduler.connection(connections)
  connections += 1
}
afterAll(async () => {
  await server.stop()
  await rig.stop()
})

const iris = (name: string, sample = 'iris-sklearn', other = {}) =>
  desiredModel(name, join(SAMPLES, sample, 'model'), { ...SKLEARN, ...other })

/** Adds to and takes from what is desired, and waits until the agent has done it. */
async function desire(
  models: readonly ReturnType<typeof desiredModel>[],
  removed: readonly string[] = [],
): Promise<void> {
  generation += 1
  const now = generation
  const change = { epoch: 'e', generation: now, full: now === 1, models: [...models], removed: [...removed] }
  connection.sendDesired(change)
  await rig.scheduler.until(`generation ${String(now)}`, () => connection.appliedGeneration === now)
}

const stateOf = (name: string): string => connection.models.get(name)?.state ?? 'unknown'
const reasonOf = (name: string): string => connection.models.get(name)?.reason ?? ''
const untilHealth = (state: string): Promise<void> =>
  rig.scheduler.until(state, () => connection.health.at(-1) === state)

interface Answer {
  readonly model_name: string
  readonly outputs: readonly { readonly name: string; readonly data: readonly number[] }[]
}
async function infer(name: string, outputs: readonly string[] = []): Promise<{ status: number; answer: Answer }> {
  const response = await fetch(`${server.url}/v2/models/${name}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs: INPUTS, outputs: outputs.map((output) => ({ name: output })) }),
  })
  return { status: response.status, answer: (await response.json()) as Answer }
}
const probabilitiesOf = async (name: string): Promise<readonly number[]> =>
  (await infer(name, ['predict_proba'])).answer.outputs[0]?.data ?? []

describe('MLServer', () => {
  it('is driven with its own capabilities, and with names in messages', () => {
    const { config } = connection.hello
    expect(config).toMatchObject({ nameSource: 'MESSAGE' })
    expect(config?.capabilities).toEqual(expect.arrayContaining(['mlserver', 'sklearn', 'python', 'xgboost']))
  })

  it('loads a model, answers by REST and gRPC, takes a new version beside it, and unloads the old', async () => {
    await desire([iris('iris_1')])
    expect(stateOf('iris_1')).toBe('LOADED')
    const { status, answer } = await infer('iris_1')
    expect({ status, ...answer }).toMatchObject({
      status: 200,
      model_name: 'iris_1',
      outputs: [{ name: 'predict', data: [2] }],
    })
    const request = {
      modelName: 'iris_1',
      inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], contents: { fp32Contents: INPUTS[0]?.data ?? [] } }],
    }
    const byGrpc = await grpcCall<ModelInferResponse__Output>((callback) =>
      server.client.ModelInfer(request, { deadline: Date.now() + 10_000 }, callback),
    )
    expect(byGrpc.outputs[0]?.contents?.int64Contents.map(String)).toEqual(['2'])

    await desire([iris('iris_2', 'iris-sklearn-v2')])
    const [first, second] = [await probabilitiesOf('iris_1'), await probabilitiesOf('iris_2')]
    expect(first).toHaveLength(3)
    expect(second).toHaveLength(3)
    expect(second).not.toEqual(first)

    await desire([], ['iris_1'])
    expect(stateOf('iris_1')).toBe('UNLOADED')
    expect([(await infer('iris_1')).status, (await infer('iris_2')).status]).toEqual([404, 200])
  })

  it("gives the model's parameters to the runtime", async () => {
    await desire([iris('tuned_1', 'iris-sklearn', { parameters: { predict_fn: 'predict_proba' } })])
    expect((await infer('tuned_1')).answer.outputs[0]).toMatchObject({ name: 'predict_proba' })
  })

  it('loads everything again after a kill -9, because MLServer forgets', async () => {
    await desire([iris('kept_1'), iris('kept_2', 'iris-sklearn-v2')])
    await untilHealth('SERVING')
    await server.kill()
    await untilHealth('DOWN')
    await server.start()
    await untilHealth('SERVING')
    expect([(await infer('kept_1')).status, (await infer('kept_2')).status]).toEqual([200, 200])
  })

  it("tells MLServer's own message when an artefact is corrupt, and tries again when it is told to", async () => {
    await desire([iris('mended_1')])
    const broken = await rig.artifact('broken', { 'model.joblib': 'this is no joblib' })
    await desire([desiredModel('mended_2', broken, SKLEARN)])
    expect(stateOf('mended_2')).toBe('LOAD_FAILED')
    expect(reasonOf('mended_2')).toBe('LOAD_FAILED: the model server answered INTERNAL: pop from empty list')
    expect((await infer('mended_1')).status).toBe(200)

    const mended = { ...iris('mended_2'), attempt: 2 }
    await desire([mended])
    expect(stateOf('mended_2')).toBe('LOADED')
  })

  it('serves a Python class of the artefact, and names the one whose library is missing', async () => {
    const CLASS = `
from mlserver import MLModel
from mlserver.types import InferenceResponse, ResponseOutput

class Constant(MLModel):
    async def load(self):
        self.value = float(self.settings.parameters.extra["value"])
        return True

    async def predict(self, payload):
        output = ResponseOutput(name="value", shape=[1], datatype="FP64", data=[self.value])
        return InferenceResponse(model_name=self.name, outputs=[output])
`
    const python = await rig.artifact('python', { 'constant.py': CLASS })
    const boosted = await rig.artifact('boosted', { 'model.bst': 'trees' })
    await desire([
      desiredModel('constant_1', python, { requirements: ['python'], parameters: { value: '7.5' } }),
      desiredModel('boosted_1', boosted, { requirements: ['xgboost'] }),
    ])
    expect((await infer('constant_1')).answer.outputs[0]?.data).toEqual([7.5])
    expect(reasonOf('boosted_1')).toMatch(/No module named 'mlserver_xgboost'$/)
  })

  it('stays up while a slow model keeps it from answering', async () => {
    const CLASS = `
import time
from mlserver import MLModel

class Slow(MLModel):
    async def load(self):
        time.sleep(3)
        return True
`
    await untilHealth('SERVING')
    const told = connection.health.length
    await desire([
      desiredModel('slow_1', await rig.artifact('slow', { 'slow.py': CLASS }), { requirements: ['python'] }),
    ])
    expect(stateOf('slow_1')).toBe('LOADED')
    expect(connection.health.slice(told)).toEqual([])
  })

  it('is ready again after a load that took too long, which is called off', async () => {
    const CLASS = `
import asyncio
from mlserver import MLModel

class Stuck(MLModel):
    async def load(self):
        await asyncio.sleep(3600)
`
    await agent.stop()
    await startAgent({ loadDeadlineMs: 2_000 })
    const stuck = await rig.artifact('stuck', { 'stuck.py': CLASS })
    await desire([desiredModel('stuck_1', stuck, { requirements: ['python'] })])
    expect(reasonOf('stuck_1')).toMatch(/^LOAD_TIMEOUT: .* within 2000 ms$/)
    const answer = await grpcCall<{ ready: boolean }>((callback) =>
      server.client.ServerReady({}, { deadline: Date.now() + 10_000 }, callback),
    )
    expect(answer.ready).toBe(true)
  })

  it('serves its metrics on a port of their own', async () => {
    const response = await fetch(`http://127.0.0.1:${String(server.metricsPort)}/metrics`)
    expect(response.status).toBe(200)
  })
})
