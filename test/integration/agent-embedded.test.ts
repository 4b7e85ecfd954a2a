/** The agent beside the real embedded server, as a process of its own, with the real sample. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { packageRoot } from '../../kit/root.ts'
import { type AgentRig, createAgentRig } from '../support/agent-rig.ts'
import { desiredModel, type FakeConnection } from '../support/fake-scheduler.ts'
import { freePorts } from '../support/free-ports.ts'
import { MILLRACE } from '../support/programs.ts'

const SAMPLES = join(packageRoot, 'samples')
const BODY = JSON.stringify({
  inputs: [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [5.1, 3.5, 1.4, 0.2] }],
})

let rig: AgentRig
let connection: FakeConnection
let server: ChildProcess
let restPort: number
let grpcPort: number

const startServer = (): ChildProcess => {
  const flags = { 'rest-port': restPort, 'grpc-port': grpcPort, repository: rig.repository }
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])
  return spawn(process.execPath, [MILLRACE, 'model-server', ...args], {
    cwd: packageRoot,
    stdio: 'ignore',
  })
}

beforeEach(async () => {
  rig = await createAgentRig()
  ;[restPort, grpcPort] = (await freePorts(2)) as [number, number]
  await mkdir(rig.repository)
  server = startServer()
  await rig.startAgent({
    serverRestPort: restPort,
    serverGrpcPort: grpcPort,
    artifactRoots: [SAMPLES, rig.artifacts],
    healthDeadlineMs: 1_000,
  })
  connection = await rig.scheduler.connection(0)
})
afterEach(async () => {
  server.kill('SIGKILL')
  await rig.stop()
})

const infer = async (internalName: string): Promise<number> => {
  const response = await fetch(`http://127.0.0.1:${String(restPort)}/v2/models/iris/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'seldon-internal-model': internalName },
    body: BODY,
  })
  await response.text()
  return response.status
}
const untilServing = (): Promise<void> => rig.scheduler.until('SERVING', () => connection.health.at(-1) === 'SERVING')

it('loads two versions, keeps both through a kill -9 of the server, and unloads one', async () => {
  const iris = (version: number, folder: string) =>
    desiredModel(`iris_${String(version)}`, join(SAMPLES, folder, 'model'), { memoryBytes: 100 })
  const models = [iris(1, 'iris'), iris(2, 'iris-v2')]
  connection.sendDesired({ epoch: 'e', generation: 1, full: true, models })
  await rig.scheduler.until('generation 1', () => connection.appliedGeneration === 1)
  await untilServing()
  expect([...connection.models.values()].map(({ state, reason }) => `${state}${reason}`)).toEqual(['LOADED', 'LOADED'])
  expect([await infer('iris_1'), await infer('iris_2')]).toEqual([200, 200])

  server.kill('SIGKILL')
  await once(server, 'exit')
  await rig.scheduler.until('DOWN', () => connection.health.at(-1) === 'DOWN')
  server = startServer()
  await untilServing()
  expect([await infer('iris_1'), await infer('iris_2')]).toEqual([200, 200])

  connection.sendDesired({ epoch: 'e', generation: 2, full: false, removed: ['iris_1'] })
  await rig.scheduler.until('iris_1 UNLOADED', () => connection.models.get('iris_1')?.state === 'UNLOADED')
  expect([await infer('iris_1'), await infer('iris_2')]).toEqual([404, 200])
})

it("passes the server's own message on when a model cannot be loaded", async () => {
  await rig.artifact('broken', { 'model.onnx': 'this is no ONNX' })
  await rig.scheduler.until('the server is up', () => connection.health.at(-1) !== 'DOWN')
  const models = [desiredModel('broken_1', join(rig.artifacts, 'broken'))]
  connection.sendDesired({ epoch: 'e', generation: 1, full: true, models })
  await rig.scheduler.until('generation 1', () => connection.appliedGeneration === 1)
  expect(connection.models.get('broken_1')).toMatchObject({
    state: 'LOAD_FAILED',
    reason: expect.stringMatching(/^LOAD_FAILED: model "broken_1" cannot be loaded: .+/) as unknown,
  })
})
