/** Processes killed under an open loop of 100 REST and 100 gRPC requests a second. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { countAnswers } from '../support/envoy-admin.ts'
import { applyAvailable, modelResource, until, untilAvailable, writeTestArtifact } from '../support/models.ts'
import {
  createRestSender,
  describeFailures,
  type Load,
  type LoadReport,
  notInFlight,
  startLoad,
} from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test', restarts: (name) => name === 'scheduler' })
  await applyAvailable(mesh.admin, 'steady', { storageUri: writeTestArtifact(mesh.folder, 'steady', { kind: 'echo' }) })
})
afterAll(() => mesh.stop())

/** Several times what the longest of them takes. */
const RUN_ON_MS = 90_000

const warm = (load: Load): Promise<void> => until('the load to be under way', () => load.outcomes.length > 100)
const runOn = async (load: Load, requests: number): Promise<void> => {
  const seen = load.outcomes.length
  await until(`${String(requests)} more answers`, () => load.outcomes.length >= seen + requests, RUN_ON_MS)
}
const expectNoFailure = (report: LoadReport): void => {
  expect(report.failed, describeFailures(report)).toEqual([])
}

test('kill -9 of the scheduler: no request fails, it is back by itself, an accepted load is not lost', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await warm(load)
  const storageUri = writeTestArtifact(mesh.folder, 'accepted', { kind: 'echo' })
  await mesh.admin.apply(modelResource('accepted', { storageUri }))
  await mesh.kill('scheduler')
  const killedMs = Date.now()
  await mesh.untilReady('scheduler')
  // A load that a scheduler accepts while it starts up is kept by it, too.
  await mesh.admin.apply(modelResource('during-start', { storageUri }))
  await untilAvailable(mesh.admin, 'accepted')
  await untilAvailable(mesh.admin, 'during-start')
  console.log(`scheduler back and two models available ${String(Date.now() - killedMs)} ms after the kill`)
  await runOn(load, 400)
  expectNoFailure(await load.stop())
})

test('kill -9 of an agent: no request fails, and its models are adopted, not reloaded, when it is back', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await warm(load)
  await mesh.kill('agent-embedded-0')
  await runOn(load, 400)
  await mesh.start('agent-embedded-0')
  await untilAvailable(mesh.admin, 'steady')
  await runOn(load, 400)
  expectNoFailure(await load.stop())
})

test('kill -9 of a model server that comes back empty while no scheduler runs: no request is answered "not loaded"', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await warm(load)
  await mesh.terminate('scheduler')
  const killedMs = Date.now()
  await mesh.kill('embedded-1')
  const goneMs = Date.now()
  await mesh.start('embedded-1')
  await runOn(load, 600)
  await mesh.start('scheduler')
  await untilAvailable(mesh.admin, 'steady')
  const report = await load.stop()
  expect(notInFlight(report, killedMs, goneMs), describeFailures(report)).toEqual([])
})

test('kill -9 of one of two model servers: only requests in flight fail, traffic returns with it', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await warm(load)
  const killedMs = Date.now()
  await mesh.kill('embedded-0')
  const goneMs = Date.now()
  await runOn(load, 1_000)
  await mesh.start('embedded-0')
  const rest = `127.0.0.1:${String(mesh.ports.replicas[0]?.rest ?? 0)}`
  await until('the model on the restarted server', async () => {
    const answer = await fetch(`http://${rest}/v2/models/steady_1/ready`).catch(() => undefined)
    return answer?.status === 200
  })
  const admin = mesh.ports.envoys[0]?.admin ?? 0
  const answered = await countAnswers(admin, rest)
  await until(
    'traffic to return to the restarted server',
    async () => (await countAnswers(admin, rest)) > answered + 10,
  )
  await runOn(load, 600)
  const report = await load.stop()

  console.log(describeFailures(report))
  expect(notInFlight(report, killedMs, goneMs), describeFailures(report)).toEqual([])
})

test('Redis stopped for 20 s: no inference fails, writes are refused, work resumes by itself', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await warm(load)
  mesh.freeze('redis')
  try {
    await expect(mesh.admin.apply(modelResource('refused'))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    await runOn(load, 4_000) // 20 s at 200 requests/s
  } finally {
    mesh.thaw('redis')
  }
  const storageUri = writeTestArtifact(mesh.folder, 'resumed', { kind: 'echo' })
  await until('writes to be taken again', () =>
    mesh.admin.apply(modelResource('resumed', { storageUri })).then(
      () => true,
      () => false,
    ),
  )
  await untilAvailable(mesh.admin, 'resumed')
  expectNoFailure(await load.stop())
})

test('Envoy restarted: routes are back without touching the scheduler', async () => {
  await mesh.kill('envoy-0')
  await mesh.start('envoy-0')
  const client = createRestSender(mesh.ingress)
  await until('the route', async () => (await client.send('steady', 2_000).catch(() => undefined))?.status === '200')
  await client.close()
})

test('a model that answers only 500 leaves its neighbours on the same server without a failure', async () => {
  await applyAvailable(mesh.admin, 'broken', {
    storageUri: writeTestArtifact(mesh.folder, 'broken', { kind: 'fail', status: 500 }),
  })
  const bad = startLoad({ ingress: mesh.ingress, model: 'broken' })
  const good = startLoad({ ingress: mesh.ingress, model: 'steady' })
  await runOn(good, 1_000)
  const [badReport, goodReport] = await Promise.all([bad.stop(), good.stop()])
  expect(badReport.failed.length).toBe(badReport.sent)
  expect(new Set(badReport.failed.map((failure) => failure.status))).toEqual(new Set(['500', '13']))
  expectNoFailure(goodReport)
})
