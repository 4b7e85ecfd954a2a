/** ACKs bite: what an Envoy has not ACKed yet holds back Available and the unload (I2, I3), as long as that Envoy counts. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { ModelStatus, StoredModel } from '../../api/resources/status.ts'
import { connectFakeEnvoy, type FakeEnvoy } from '../support/fake-envoy.ts'
import { holds } from '../support/hold.ts'
import { applyManyAvailable, modelNames } from '../support/many-models.ts'
import {
  applyAvailable,
  IRIS_V1,
  IRIS_V2,
  modelResource,
  until,
  untilAvailable,
  untilDeleted,
  untilModel,
} from '../support/models.ts'
import { createRestSender } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

/** Less than the silence after which an Envoy no longer counts. */
const WITHHELD_MS = 2_000
/** I2: an Envoy that says nothing for so long no longer counts. */
const SILENCE_MS = 5_000
const ONE = { replicas: 1 }

let mesh: TestMesh
let fake: FakeEnvoy | undefined
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ replicas: 1, envoys: 3, envoyConcurrency: 1, schedulerFlags: ['--drain-time-ms', '100'] })
  await applyAvailable(mesh.admin, 'iris', ONE)
})
afterEach(() => {
  fake?.close()
  fake = undefined
})
afterAll(() => mesh.stop())

/** A further Envoy that has everything so far. */
async function connectFake(): Promise<FakeEnvoy> {
  fake = connectFakeEnvoy({ port: mesh.ports.xds, node: 'fake' })
  const { until: untilFake, targets } = fake
  await untilFake('the route of iris', () => targets().includes('iris'))
  return fake
}

const statusOf = async (name: string): Promise<ModelStatus> =>
  ((await mesh.admin.get('Model', name)).resource as StoredModel).status ?? {}

/** What a client gets now, over a new connection: of the Envoys that run, any. */
async function infer(model: string): Promise<{ readonly status: string; readonly servedBy: string }> {
  const client = createRestSender(mesh.ingress)
  try {
    return await client.send(model, 5_000)
  } finally {
    await client.close()
  }
}

/** Asks the model server itself. */
async function isLoaded(internalName: string): Promise<boolean> {
  const rest = `http://127.0.0.1:${String(mesh.ports.replicas[0]?.rest ?? 0)}`
  return (await fetch(`${rest}/v2/models/${internalName}/ready`)).status === 200
}

test('an Envoy that withholds its ACK for 2 s holds Available, the removal of the old version and the unload', async () => {
  const slow = await connectFake()

  let sinceMs = Date.now()
  slow.withhold()
  await mesh.admin.apply(modelResource('held', ONE))
  await until('an answer through the real Envoys', async () => (await infer('held')).status === '200')
  await holds(WITHHELD_MS, sinceMs, async () => {
    expect(await statusOf('held')).toMatchObject({ state: 'ModelProgressing', availableReplicas: 0 })
  })
  expect((await statusOf('held')).reason).toContain("waits for Envoy's ACK")
  slow.release()
  await untilAvailable(mesh.admin, 'held')
  expect(slow.targets()).toContain('held')

  sinceMs = Date.now()
  slow.withhold()
  await mesh.admin.apply(modelResource('held', { ...ONE, storageUri: IRIS_V2 }))
  await until('answers of version 2', async () => (await infer('held')).servedBy === 'held_2')
  await holds(WITHHELD_MS, sinceMs, async () => {
    const { state, versions } = await statusOf('held')
    expect(state).toBe('ModelProgressing')
    expect(versions?.map(({ version }) => version)).toEqual([1, 2])
    expect(await isLoaded('held_1')).toBe(true)
  })
  slow.release()
  await untilModel(mesh.admin, 'held', (s) => s.state === 'ModelAvailable' && s.versions?.length === 1)
  expect(await isLoaded('held_1')).toBe(false)

  sinceMs = Date.now()
  slow.withhold()
  await mesh.admin.delete('Model', 'held')
  await until('404 of the real Envoys', async () => (await infer('held')).status === '404')
  await holds(WITHHELD_MS, sinceMs, async () => {
    expect(await statusOf('held')).toMatchObject({ state: 'ModelTerminating' })
    expect(await isLoaded('held_2')).toBe(true)
  })
  slow.release()
  await untilDeleted(mesh.admin, 'held')
  expect(await isLoaded('held_2')).toBe(false)
  expect(slow.targets()).not.toContain('held')
})

test('I9: deleting more than a fifth of the models at once is refused, unless it is forced', async () => {
  const names = modelNames(12)
  await applyManyAvailable(mesh.admin, names, { ...ONE, storageUri: IRIS_V1 })
  const slow = await connectFake()
  slow.withhold() // so that deletions stay under way
  const [last = '', ...others] = names
  for (const name of others.slice(0, 10)) await mesh.admin.delete('Model', name)
  await expect(mesh.admin.delete('Model', last)).rejects.toMatchObject({ code: 'REMOVAL_REFUSED' })
  expect(await infer(last)).toMatchObject({ status: '200' })
  await mesh.admin.delete('Model', last, { force: true })
  slow.release()
  await untilDeleted(mesh.admin, last)
})

test('of three Envoys one is frozen: it counts for 5 s, then no longer, and catches up once it runs again', async () => {
  mesh.freeze('envoy-2')
  const frozenMs = Date.now()
  await mesh.admin.apply(modelResource('iris', { ...ONE, storageUri: IRIS_V2 }))
  const waiting = await untilModel(mesh.admin, 'iris', (status) => status.servingVersion === 2)
  expect(waiting).toMatchObject({ state: 'ModelProgressing', versions: [{ version: 1 }, { version: 2 }] })
  expect(await isLoaded('iris_1')).toBe(true)
  await untilModel(mesh.admin, 'iris', (s) => s.state === 'ModelAvailable' && s.versions?.length === 1)
  expect(Date.now() - frozenMs).toBeGreaterThanOrEqual(SILENCE_MS)

  mesh.thaw('envoy-2')
  await mesh.kill('envoy-0')
  await mesh.kill('envoy-1')
  await until('the thawed Envoy to answer from version 2', async () => {
    const answer = await infer('iris').catch(() => undefined)
    return answer?.servedBy === 'iris_2'
  })
  await applyAvailable(mesh.admin, 'after-thaw', ONE)
  expect(await infer('after-thaw')).toMatchObject({ status: '200', servedBy: 'after-thaw_1' })
})

test('with no Envoy connected a new model is Progressing and says so, an Available one stays so', async () => {
  await mesh.kill('envoy-2')
  await mesh.admin.apply(modelResource('unseen', ONE))
  const unseen = await untilModel(mesh.admin, 'unseen', ({ reason }) => reason?.includes('no Envoy connected') === true)
  expect(unseen).toMatchObject({ state: 'ModelProgressing', availableReplicas: 0 })
  expect(await statusOf('iris')).toMatchObject({ state: 'ModelAvailable', availableReplicas: 1 })

  await mesh.start('envoy-0')
  await untilAvailable(mesh.admin, 'unseen')
  expect(await infer('unseen')).toMatchObject({ status: '200', servedBy: 'unseen_1' })
})
