/** New models and new versions under load: make before break, as a client sees it (I1 to I5). */
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  applyAvailable,
  IRIS_V2,
  modelResource,
  untilAvailable,
  untilDeleted,
  untilModel,
  until,
} from '../support/models.ts'
import { createRestSender, describeFailures, servedSince, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh()
  await applyAvailable(mesh.admin, 'iris')
})
afterAll(() => mesh.stop())

test('a new model under load on another: the first 200 after 404 is final', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'iris' })
  const newcomer = createRestSender(mesh.ingress)
  const statuses: string[] = []
  const probe = async (): Promise<boolean> => {
    statuses.push((await newcomer.send('newcomer', 5_000)).status)
    return statuses.filter((status) => status === '200').length >= 300
  }
  expect((await newcomer.send('newcomer', 5_000)).status).toBe('404')
  await mesh.admin.apply(modelResource('newcomer'))
  await until('300 answers of the new model', probe, 90_000)
  await newcomer.close()
  const report = await load.stop()

  const first = statuses.indexOf('200')
  expect(statuses.slice(0, first).every((status) => status === '404')).toBe(true)
  expect(statuses.slice(first).every((status) => status === '200')).toBe(true)
  expect(report.failed, describeFailures(report)).toEqual([])
  await mesh.admin.delete('Model', 'newcomer')
  await untilDeleted(mesh.admin, 'newcomer')
  const gone = createRestSender(mesh.ingress)
  expect(await gone.send('newcomer', 5_000)).toMatchObject({
    status: '404',
    detail: expect.stringContaining('newcomer') as string,
  })
  await gone.close()
})

test('an update at 200 requests/s fails no request, switches the answers and unloads the old version', async () => {
  const load = startLoad({ ingress: mesh.ingress, model: 'iris' })
  await until('answers of version 1', () => load.outcomes.length > 100)
  await mesh.admin.apply(modelResource('iris', { storageUri: IRIS_V2 }))
  const status = await untilModel(
    mesh.admin,
    'iris',
    (s) => s.state === 'ModelAvailable' && s.servingVersion === 2 && (s.versions ?? []).length === 1,
  )
  const after = load.outcomes.length
  const switchedMs = Date.now()
  await until('200 more answers', () => load.outcomes.length > after + 200)
  const report = await load.stop()

  expect(report.failed, describeFailures(report)).toEqual([])
  expect(new Set(report.outcomes.map((outcome) => outcome.servedBy))).toEqual(new Set(['iris_1', 'iris_2']))
  expect(servedSince(report, switchedMs)).toEqual(new Set(['iris_2']))
  expect(status.versions?.map((version) => version.version)).toEqual([2])
})

test.each([
  {
    why: 'cannot be loaded',
    spec: { storageUri: '/nonexistent/artefact' },
    state: 'ModelFailed',
    reason: /nonexistent|artifact-roots/,
  },
  { why: 'cannot be placed', spec: { memory: '1000Gi' }, state: 'ScheduleFailed', reason: /memory/ },
])(
  'an update to a version that $why leaves the old one answering, and the status says why',
  async ({ spec, state, reason }) => {
    const name = `update-${state.toLowerCase()}`
    await applyAvailable(mesh.admin, name)
    const load = startLoad({ ingress: mesh.ingress, model: name })
    await mesh.admin.apply(modelResource(name, spec))
    const failed = await untilModel(mesh.admin, name, (s) => s.state === state, 60_000)
    const seen = load.outcomes.length
    await until('200 more answers', () => load.outcomes.length > seen + 200)
    const report = await load.stop()

    expect(`${failed.reason ?? ''} ${JSON.stringify(failed.placement ?? '')}`).toMatch(reason)
    expect(failed).toMatchObject({ availableReplicas: 2, servingVersion: 1 })
    expect(report.failed, describeFailures(report)).toEqual([])
    expect(new Set(report.outcomes.map((outcome) => outcome.servedBy))).toEqual(new Set([`${name}_1`]))

    const rolledBack = await mesh.admin.rollback(name, 0)
    expect(rolledBack).toMatchObject({ restoredVersion: 1 })
    await untilAvailable(mesh.admin, name)
  },
)
