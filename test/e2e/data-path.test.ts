/** Models whose requests go through the agents' proxies: changed, and killed, under load. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { applyAvailable, modelResource, until, untilModel, writeTestArtifact } from '../support/models.ts'
import { describeFailures, type Load, type LoadReport, notInFlight, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
let storageUri: string
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test' })
  storageUri = writeTestArtifact(mesh.folder, 'steady', { kind: 'echo' })
  await applyAvailable(mesh.admin, 'steady', { storageUri, dataPath: 'agent' })
})
afterAll(() => mesh.stop())

const begin = async (): Promise<Load> => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await until('the load to be under way', () => load.outcomes.length > 100)
  return load
}
const runOn = async (load: Load, requests: number): Promise<void> => {
  const seen = load.outcomes.length
  await until(`${String(requests)} more answers`, () => load.outcomes.length >= seen + requests)
}
const expectOnlyInFlight = (report: LoadReport, killedMs: number, goneMs: number): void => {
  console.log(describeFailures(report))
  expect(notInFlight(report, killedMs, goneMs), describeFailures(report)).toEqual([])
}

/** Requests that an agent's proxy has carried. */
async function carriedBy(replica: number): Promise<number> {
  const port = mesh.ports.replicas[replica]?.agentHttp ?? 0
  const text = await (await fetch(`http://127.0.0.1:${String(port)}/metrics`)).text()
  const lines = text.split('\n').filter((line) => line.startsWith('seldon_model_aggregate_infer_total{'))
  return lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0)
}

test('the path is changed and changed back under load without a failed request', async () => {
  const load = await begin()
  for (const dataPath of ['direct', 'agent'] as const) {
    const carried = await carriedBy(0)
    await mesh.admin.apply(modelResource('steady', { storageUri, dataPath }))
    await untilModel(mesh.admin, 'steady', (status) => status.dataPath === dataPath)
    await runOn(load, 400)
    if (dataPath === 'agent') expect(await carriedBy(0)).toBeGreaterThan(carried)
  }
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
})

test('kill -9 of an agent: only what is in its proxy fails, the other replica carries on, and it comes back', async () => {
  const load = await begin()
  const killedMs = Date.now()
  await mesh.kill('agent-embedded-0')
  const goneMs = Date.now()
  await runOn(load, 600)
  await mesh.start('agent-embedded-0')
  await until('the proxy that is back to carry requests', async () => (await carriedBy(0)) > 50)
  await runOn(load, 200)
  expectOnlyInFlight(await load.stop(), killedMs, goneMs)
})

test('an agent that is told to end hands its requests over: none fails', async () => {
  const load = await begin()
  await mesh.terminate('agent-embedded-1', 10_000)
  await runOn(load, 400)
  await mesh.start('agent-embedded-1')
  await until('the proxy that is back to carry requests', async () => (await carriedBy(1)) > 50)
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
})

test('kill -9 of a model server behind a proxy: only what is in flight on it fails', async () => {
  const load = await begin()
  const killedMs = Date.now()
  await mesh.kill('embedded-0')
  const goneMs = Date.now()
  await runOn(load, 600)
  await mesh.start('embedded-0')
  const carried = await carriedBy(0)
  await until('the server that is back to be asked', async () => (await carriedBy(0)) > carried + 100)
  expectOnlyInFlight(await load.stop(), killedMs, goneMs)
})
