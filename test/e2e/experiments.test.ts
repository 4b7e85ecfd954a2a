/** Experiments on a real Envoy, as a client sees them: no request fails, none goes by an old table, mirrors do no harm. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StoredModel } from '../../api/resources/status.ts'
import { waitFor } from '../../cli/wait.ts'
import {
  answerOfPipeline,
  answersFromNow,
  applyActive,
  applyPipelineAround,
  applyTestModel,
  testModelSpec,
  untilExperiment,
} from '../support/experiments.ts'
import { applyAvailable, modelResource, until, untilModel } from '../support/models.ts'
import { describeFailures, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test', pipelineGateways: 1 })
})
afterAll(() => mesh.stop())

const echo = (name: string) => testModelSpec(mesh, name, { kind: 'echo' })
const applyEcho = (name: string): Promise<void> => applyTestModel(mesh, name, { kind: 'echo' })

test('an experiment that starts, changes and stops at 200 requests/s fails no request, and none goes by an old table', async () => {
  await Promise.all(['a', 'b', 'c'].map(applyEcho))
  const load = startLoad({ ingress: mesh.ingress, model: 'a' })
  expect(await answersFromNow(load)).toEqual(new Set(['a_1']))

  const to = (name: string) => ({
    default: 'a',
    candidates: [
      { name: 'a', weight: 0 },
      { name, weight: 1 },
    ],
  })
  await applyActive(mesh.admin, 'ab', to('b'))
  expect(await answersFromNow(load)).toEqual(new Set(['b_1']))
  await applyActive(mesh.admin, 'ab', to('c'))
  expect(await answersFromNow(load)).toEqual(new Set(['c_1']))
  await applyActive(mesh.admin, 'ab', {
    ...to('c'),
    candidates: [
      { name: 'a', weight: 1 },
      { name: 'c', weight: 1 },
    ],
  })
  expect(await answersFromNow(load)).toEqual(new Set(['a_1', 'c_1']))

  const scaleC = (replicas: number) => mesh.admin.apply(modelResource('c', { ...echo('c'), replicas }))
  await scaleC(0)
  await untilExperiment(mesh.admin, 'ab', ({ candidatesReady }) => candidatesReady === false)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1']))
  await scaleC(1)
  await untilExperiment(mesh.admin, 'ab', ({ active }) => active === true)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1', 'c_1']))

  await expect(mesh.admin.delete('Model', 'c')).rejects.toThrow(/model c is used by experiment ab/)
  await mesh.admin.delete('Experiment', 'ab')
  await waitFor(mesh.admin, { kind: 'Experiment', name: 'ab' }, 'deleted', 10_000)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1']))
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
})

test('pipelines are candidates too, and a model experiment inside of one decides as well', async () => {
  await Promise.all(['pa', 'qa', 'ra'].map(applyEcho))
  await applyPipelineAround(mesh, 'p', 'pa')
  await applyPipelineAround(mesh, 'q', 'qa')
  const between = (one: string, other: string) => [
    { name: one, weight: 0 },
    { name: other, weight: 1 },
  ]
  expect(await answerOfPipeline(mesh, 'p')).toBe('pa_1')
  await applyActive(mesh.admin, 'pq', { resourceType: 'pipeline', default: 'p', candidates: between('p', 'q') })
  await until('the other pipeline answers', async () => (await answerOfPipeline(mesh, 'p')) === 'qa_1')
  await expect(mesh.admin.delete('Pipeline', 'q')).rejects.toThrow(/pipeline q is used by experiment pq/)
  await applyActive(mesh.admin, 'nested', { default: 'qa', candidates: between('qa', 'ra') })
  await until('the other model answers inside of it', async () => (await answerOfPipeline(mesh, 'p')) === 'ra_1')
  for (const name of ['pq', 'nested']) {
    await mesh.admin.delete('Experiment', name)
    await waitFor(mesh.admin, { kind: 'Experiment', name }, 'deleted', 10_000)
  }
  await until('the pipeline is itself again', async () => (await answerOfPipeline(mesh, 'p')) === 'pa_1')
})

test('a rolling update moves traffic by ready replicas at 200 requests/s, and fails no request (I5)', async () => {
  const spec = { ...echo('rolling'), replicas: 2, rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  await applyAvailable(mesh.admin, 'rolling', spec)
  const load = startLoad({ ingress: mesh.ingress, model: 'rolling' })
  await until('answers of version 1', () => load.outcomes.length > 100)
  const { storageUri } = testModelSpec(mesh, 'rolling-2', { kind: 'slow-load', ms: 700 })
  await mesh.admin.apply(modelResource('rolling', { ...spec, storageUri }))
  await untilModel(
    mesh.admin,
    'rolling',
    ({ state, versions = [] }) => state === 'ModelAvailable' && versions.length === 1 && versions[0]?.version === 2,
  )
  expect(await answersFromNow(load)).toEqual(new Set(['rolling_2']))
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])

  const { events } = await mesh.admin.get('Model', 'rolling')
  expect(events.map(({ message }) => message)).toContainEqual(expect.stringMatching(/^Version 2 has 1 of [23] shares/))
  const answers = report.outcomes.map(({ servedBy }) => servedBy)
  const shared = answers.slice(answers.indexOf('rolling_2'), answers.lastIndexOf('rolling_1'))
  expect(new Set(shared), 'both answered at the same time').toEqual(new Set(['rolling_1', 'rolling_2']))
  expect(shared.length).toBeGreaterThan(50)
})

test('an endpoint whose only candidate reloads is never said not to exist, and answers again afterwards', async () => {
  await applyEcho('solo')
  await applyActive(mesh.admin, 'alone', { candidates: [{ name: 'solo', weight: 1 }] })
  const holder = await replicaOf('solo')
  const load = startLoad({ ingress: mesh.ingress, model: 'alone.experiment' })
  await until('answers', () => load.outcomes.length > 50)
  for (const replica of [holder, holder === 'embedded/0' ? 'embedded/1' : 'embedded/0'])
    await mesh.kill(replica.replace('/', '-'))
  const away = await untilExperiment(mesh.admin, 'alone', ({ active }) => active === false)
  expect(away.reason).toMatch(/solo is not ready .* get 503 until one is ready/)
  await mesh.start('embedded-0')
  await mesh.start('embedded-1')
  await untilExperiment(mesh.admin, 'alone', ({ active }) => active === true)
  expect(await answersFromNow(load)).toEqual(new Set(['solo_1']))
  const report = await load.stop()
  const statuses = new Set(report.failed.map(({ status }) => status))
  expect(statuses).toContain('503')
  for (const unknown of ['404', String(grpcStatus.NOT_FOUND), String(grpcStatus.UNIMPLEMENTED)])
    expect(statuses).not.toContain(unknown)
  await mesh.admin.delete('Experiment', 'alone')
})

const replicaOf = async (model: string): Promise<string> => {
  const { resource } = await mesh.admin.get('Model', model)
  return (resource as StoredModel).status?.versions?.[0]?.replicas?.[0]?.replica ?? ''
}

describe('a mirrored pipeline', () => {
  const COUNT = 60
  const SLOW_MS = 500
  const askPrimary = async (): Promise<void> => {
    const answers = await Promise.all(Array.from({ length: COUNT }, () => answerOfPipeline(mesh, 'main')))
    expect(new Set(answers)).toEqual(new Set(['main-step_1']))
  }

  beforeAll(async () => {
    await applyEcho('main-step')
    await applyPipelineAround(mesh, 'main', 'main-step')
  })

  test.each([
    ['answers', 'copy-right', { kind: 'echo' }, '200'],
    ['is wrong', 'copy-wrong', { kind: 'fail', status: 500 }, '500'],
    ['is slow', 'copy-slow', { kind: 'sleep', ms: SLOW_MS }, '200'],
  ])('that %s gets copies, which the primary does not notice, and the metric says so', async (_, name, does, code) => {
    await applyTestModel(mesh, `${name}-step`, does)
    await applyPipelineAround(mesh, name, `${name}-step`)
    await mirrorTo(name)
    await askPrimary()
    await until(`${String(COUNT)} copies`, async () => (await copiesOf(name)).get(code) === COUNT)
    expect([...(await copiesOf(name)).keys()]).toEqual([code])
    const [seconds = 0] = (await copiesOf(name, 'millrace_mesh_mirror_seconds_total')).values()
    if (does.kind === 'sleep') expect(seconds).toBeGreaterThanOrEqual((COUNT * SLOW_MS) / 1_000)
  })

  test('whose model is gone gets errors, and the primary answers', async () => {
    await applyEcho('gone-step')
    await applyPipelineAround(mesh, 'gone', 'gone-step')
    await mirrorTo('gone')
    await mesh.admin.delete('Model', 'gone-step')
    await waitFor(mesh.admin, { kind: 'Model', name: 'gone-step' }, 'deleted', 10_000)
    await askPrimary()
    const count = async () => [...(await copiesOf('gone')).values()].reduce((sum, some) => sum + some, 0)
    await until(`${String(COUNT)} copies`, async () => (await count()) === COUNT)
    expect((await copiesOf('gone')).has('200')).toBe(false)
  })

  async function mirrorTo(name: string): Promise<void> {
    await applyActive(mesh.admin, 'mirrored', {
      resourceType: 'pipeline',
      default: 'main',
      candidates: [{ name: 'main', weight: 1 }],
      mirror: { name, percent: 100 },
    })
  }

  /** What a counter of copies says of a mirror, by code. */
  async function copiesOf(name: string, counter = 'millrace_mesh_mirror_requests_total') {
    const page = await (await fetch(`http://127.0.0.1:${String(mesh.ports.envoys[0]?.metrics)}/metrics`)).text()
    const lines = page.split('\n').filter((line) => line.startsWith(counter) && line.includes(`model="${name}`))
    return new Map(lines.map((line) => [/code="([^"]*)"/.exec(line)?.[1] ?? '', Number(line.split(' ').at(-1))]))
  }
})
