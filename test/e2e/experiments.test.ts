/** Experiments on a real Envoy, as a client sees them: no request fails, none goes by an old table, mirrors do no harm. */
import { status as grpcStatus } from '@grpc/grpc-js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { StoredModel } from '../../api/resources/status.ts'
import { waitFor } from '../../cli/wait.ts'
import {
  answersFromNow,
  applyActive,
  applyPipelineAround,
  applyTestModel,
  askPipeline,
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

  const next = testModelSpec(mesh, 'c-next', { kind: 'echo' })
  await mesh.admin.apply(modelResource('c', next))
  await untilModel(mesh.admin, 'c', ({ state, servingVersion }) => state === 'ModelAvailable' && servingVersion === 2)
  expect(await answersFromNow(load), 'a candidate that is updated').toEqual(new Set(['a_1', 'c_2']))
  const scaleC = (replicas: number) => mesh.admin.apply(modelResource('c', { ...next, replicas }))
  await scaleC(0)
  await untilExperiment(mesh.admin, 'ab', ({ candidatesReady }) => candidatesReady === false)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1']))
  await scaleC(1)
  await untilExperiment(mesh.admin, 'ab', ({ active }) => active === true)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1', 'c_2']))

  await expect(mesh.admin.delete('Model', 'c')).rejects.toThrow(/model c is used by experiment ab/)
  await mesh.admin.delete('Experiment', 'ab')
  await waitFor(mesh.admin, { kind: 'Experiment', name: 'ab' }, 'deleted', 30_000)
  expect(await answersFromNow(load)).toEqual(new Set(['a_1']))
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
})

test('pipelines are candidates too, at 200 requests/s without a failure, and a model experiment inside of one decides as well', async () => {
  await Promise.all(['pa', 'qa', 'ra'].map(applyEcho))
  await applyPipelineAround(mesh, 'p', 'pa')
  await applyPipelineAround(mesh, 'q', 'qa')
  const split = (
    one: string,
    other: string,
    weights: readonly [number, number],
    resourceType: 'model' | 'pipeline',
  ) => ({
    resourceType,
    default: one,
    candidates: [one, other].map((name, index) => ({ name, weight: weights[index] ?? 0 })),
  })
  const load = startLoad({ ingress: mesh.ingress, model: 'p.pipeline' })
  expect(await answersFromNow(load)).toEqual(new Set(['pa_1']))
  await applyActive(mesh.admin, 'pq', split('p', 'q', [0, 1], 'pipeline'))
  expect(await answersFromNow(load)).toEqual(new Set(['qa_1']))
  await expect(mesh.admin.delete('Pipeline', 'q')).rejects.toThrow(/pipeline q is used by experiment pq/)
  await applyActive(mesh.admin, 'nested', split('qa', 'ra', [0, 1], 'model'))
  expect(await answersFromNow(load)).toEqual(new Set(['ra_1']))
  await applyActive(mesh.admin, 'pq', split('p', 'q', [1, 2], 'pipeline'))
  await applyActive(mesh.admin, 'nested', split('qa', 'ra', [1, 1], 'model'))
  expect(await answersFromNow(load)).toEqual(new Set(['pa_1', 'qa_1', 'ra_1']))
  await expectTokensToPin('p', ['pa_1', 'qa_1', 'ra_1'])
  for (const name of ['pq', 'nested']) {
    await mesh.admin.delete('Experiment', name)
    await waitFor(mesh.admin, { kind: 'Experiment', name }, 'deleted', 30_000)
  }
  expect(await answersFromNow(load)).toEqual(new Set(['pa_1']))
  const report = await load.stop()
  expect(report.failed, describeFailures(report)).toEqual([])
})

/** Whoever answered first answers again to those who send back what `x-seldon-route` said, pipeline and nested model alike. */
async function expectTokensToPin(pipeline: string, answers: readonly string[]): Promise<void> {
  const tokens = new Map<string, string>()
  await until('a token of every choice', async () => {
    const { answer, token } = await askPipeline(mesh, pipeline)
    tokens.set(answer, token)
    return tokens.size === answers.length
  })
  for (const [answer, token] of tokens) {
    const again = await Promise.all(Array.from({ length: 20 }, () => askPipeline(mesh, pipeline, token)))
    expect(new Set(again.map((one) => one.answer))).toEqual(new Set([answer]))
  }
}

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
  await Promise.all([mesh.start('embedded-0'), mesh.start('embedded-1')])
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
    const answers = await Promise.all(Array.from({ length: COUNT }, () => askPipeline(mesh, 'main')))
    expect(new Set(answers.map(({ answer }) => answer))).toEqual(new Set(['main-step_1']))
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

  test('whose model is not there gets errors, and the primary answers', async () => {
    const spec = { steps: [{ name: 'nobody' }], output: { steps: ['nobody'] } }
    await mesh.admin.apply({
      apiVersion: 'mlops.seldon.io/v1alpha1',
      kind: 'Pipeline',
      metadata: { name: 'gone' },
      spec,
    })
    await mirrorTo('gone')
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
