/** Delta bites: 1,000 models, and a scheduler that comes back, with what it knew or with nothing (I9). */
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { countRoutes, readStat } from '../support/envoy-admin.ts'
import { connectFakeEnvoy, type FakeEnvoy, type Versions } from '../support/fake-envoy.ts'
import { everyMs } from '../../kit/backoff.ts'
import { applyManyAvailable, failuresOf, modelNames } from '../support/many-models.ts'
import { applyAvailable, until, untilModel, writeTestArtifact } from '../support/models.ts'
import { describeFailures, type Load, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

const MODELS = modelNames(1_000)
const [STEADY = ''] = MODELS
const MAX_SHARE = 0.05
const RATE = 50
/** All that Envoy got over its only stream, HTTP/2 frames included. */
const XDS_BYTES = 'cluster.xds.upstream_cx_rx_bytes_total'

let mesh: TestMesh
let storageUri: string
let envoyAdmin: number
let load: Load | undefined
const fakes: FakeEnvoy[] = []
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test' })
  envoyAdmin = mesh.ports.envoys[0]?.admin ?? 0
  storageUri = writeTestArtifact(mesh.folder, 'echo', { kind: 'echo' })
  await applyManyAvailable(mesh.admin, MODELS, { storageUri, replicas: 1 })
})
afterEach(async () => {
  for (const fake of fakes.splice(0)) fake.close()
  await load?.stop()
  load = undefined
})
afterAll(() => mesh.stop())

const startSteadyLoad = (): Load => (load = startLoad({ ingress: mesh.ingress, model: STEADY, ratePerSecond: RATE }))

async function expectNoFailure(): Promise<void> {
  const report = await load?.stop()
  load = undefined
  if (report === undefined) throw new Error('no load was started')
  expect(report.failed, describeFailures(report)).toEqual([])
  expect(report.sent).toBeGreaterThan(RATE)
}

/** Connects one more Envoy and waits until it has ACKed everything, which a new model's availability says. */
async function connect(newcomer: string, versions?: Versions): Promise<FakeEnvoy> {
  const fake = connectFakeEnvoy({ port: mesh.ports.xds, node: 'fake', ...(versions === undefined ? {} : { versions }) })
  fakes.push(fake)
  await fake.until('its first response', () => versions !== undefined || fake.events.length > 0)
  await applyAvailable(mesh.admin, newcomer, { storageUri, replicas: 1 })
  await fake.until(`the route of ${newcomer}`, () => fake.targets().includes(newcomer))
  return fake
}

test('an Envoy that reconnects to a restarted scheduler receives under 5 % of the first push, and models answer throughout', async () => {
  const first = await connect('first-push')
  const firstPush = first.bytesReceived()
  const versions = first.versions()
  expect(first.targets()).toHaveLength(MODELS.length + 1)
  first.close()

  startSteadyLoad()
  await mesh.kill('scheduler')
  const before = await readStat(envoyAdmin, XDS_BYTES)
  expect(await failuresOf(mesh.ingress, MODELS)).toEqual([])
  await mesh.start('scheduler')
  const again = await connect('reconnected', versions)
  await until('the newest route in Envoy', async () => (await failuresOf(mesh.ingress, ['reconnected'])).length === 0)
  const received = (await readStat(envoyAdmin, XDS_BYTES)) - before

  console.log(
    `first push ${String(firstPush)} bytes; after the restart ${String(again.bytesReceived())} and one model more, a real Envoy ${String(received)}`,
  )
  expect(again.bytesReceived()).toBeGreaterThan(0)
  expect(again.bytesReceived()).toBeLessThan(firstPush * MAX_SHARE)
  expect(received).toBeGreaterThan(0)
  expect(received).toBeLessThan(firstPush * MAX_SHARE)
  expect(await failuresOf(mesh.ingress, MODELS)).toEqual([])
  await expectNoFailure()
})

test('I9: a scheduler started on an empty Redis changes nothing in Envoy, and goes on once the models are applied again', async () => {
  const standing = [...MODELS, 'first-push', 'reconnected']
  const routes = await countRoutes(envoyAdmin)
  expect(routes).toBeGreaterThanOrEqual(standing.length)
  startSteadyLoad()
  await mesh.kill('scheduler')
  await mesh.kill('redis')
  const state = join(mesh.folder, 'state/redis')
  rmSync(state, { recursive: true })
  mkdirSync(state)
  await mesh.start('redis')
  await mesh.start('scheduler')
  await until('the scheduler to say that it holds Envoy', async () => (await heldNodes()).includes('envoy-0'))
  expect(await mesh.admin.list('Model')).toEqual([])
  expect(await countRoutes(envoyAdmin)).toBe(routes)
  expect(await failuresOf(mesh.ingress, standing)).toEqual([])

  const applying = new AbortController()
  const applied = applyManyAvailable(mesh.admin, standing, { storageUri, replicas: 1 }).finally(() => {
    applying.abort()
  })
  const sample = standing.filter((_, index) => index % 20 === 0)
  await everyMs(100, applying.signal, async () => {
    expect(await failuresOf(mesh.ingress, sample)).toEqual([])
  })
  await applied
  expect(await heldNodes()).toEqual([])
  expect(await countRoutes(envoyAdmin)).toBe(routes)
  expect(await failuresOf(mesh.ingress, standing)).toEqual([])
  await applyAvailable(mesh.admin, 'afterwards', { storageUri, replicas: 2 })
  await untilModel(mesh.admin, STEADY, (status) => status.versions?.length === 1)
  await expectNoFailure()
})

async function heldNodes(): Promise<readonly string[]> {
  const answer = await fetch(`http://127.0.0.1:${String(mesh.ports.schedulerHttp)}/readyz`)
  const { nodes } = (await answer.json()) as { nodes: readonly { node: string; heldBecause?: string }[] }
  return nodes.flatMap(({ node, heldBecause }) => (heldBecause === undefined ? [] : [node]))
}
