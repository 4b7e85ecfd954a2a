/** Experiments on a real Envoy, as a client sees them: no request fails, none goes by an old table, bad canaries go back. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { waitFor } from '../../cli/wait.ts'
import { applyActive, experimentResource, untilExperiment } from '../support/experiments.ts'
import { applyAvailable, modelResource, until, untilModel, writeTestArtifact } from '../support/models.ts'
import { describeFailures, type Load, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

/** Envoy ACKs on its main thread; its workers follow within this (docs/architecture.md, section 2). */
const WORKERS_FOLLOW_MS = 100

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test', pipelineGateways: 1 })
})
afterAll(() => mesh.stop())

const specOf = (name: string, behaviour: Readonly<Record<string, unknown>>) => ({
  storageUri: writeTestArtifact(mesh.folder, name, behaviour),
  requirements: [],
  replicas: 1,
})
const echo = (name: string) => specOf(name, { kind: 'echo' })

const applyModel = (name: string, behaviour: Readonly<Record<string, unknown>>): Promise<void> =>
  applyAvailable(mesh.admin, name, specOf(name, behaviour))

/** Who answers what is sent from now on, but for the moment that workers may take. */
async function answersFromNow(load: Load): Promise<ReadonlySet<string>> {
  const sinceMs = Date.now() + WORKERS_FOLLOW_MS
  const fresh = () => load.outcomes.filter(({ sentAtMs }) => sentAtMs > sinceMs)
  await until('100 more answers', () => fresh().length >= 100)
  return new Set(fresh().map(({ servedBy }) => servedBy))
}

test('an experiment that starts, changes and stops at 200 requests/s fails no request, and none goes by an old table', async () => {
  await Promise.all(['a', 'b', 'c'].map((name) => applyModel(name, { kind: 'echo' })))
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
  const models = ['pa', 'qa', 'ra']
  await Promise.all(models.map((name) => applyModel(name, { kind: 'echo' })))
  for (const [name, step] of [
    ['p', 'pa'],
    ['q', 'qa'],
  ] as const) {
    const spec = { steps: [{ name: step }], output: { steps: [step] } }
    await mesh.admin.apply({ apiVersion: 'mlops.seldon.io/v1alpha1', kind: 'Pipeline', metadata: { name }, spec })
    await waitFor(mesh.admin, { kind: 'Pipeline', name }, 'available', 30_000)
  }
  const between = (one: string, other: string) => [
    { name: one, weight: 0 },
    { name: other, weight: 1 },
  ]
  expect(await answerOfPipeline('p')).toBe('pa_1')
  await applyActive(mesh.admin, 'pq', { resourceType: 'pipeline', default: 'p', candidates: between('p', 'q') })
  await until('the other pipeline answers', async () => (await answerOfPipeline('p')) === 'qa_1')
  await expect(mesh.admin.delete('Pipeline', 'q')).rejects.toThrow(/pipeline q is used by experiment pq/)
  await applyActive(mesh.admin, 'nested', { default: 'qa', candidates: between('qa', 'ra') })
  await until('the other model answers inside of it', async () => (await answerOfPipeline('p')) === 'ra_1')
  for (const name of ['pq', 'nested']) {
    await mesh.admin.delete('Experiment', name)
    await waitFor(mesh.admin, { kind: 'Experiment', name }, 'deleted', 10_000)
  }
  await until('the pipeline is itself again', async () => (await answerOfPipeline('p')) === 'pa_1')
})

/** The model that answered in it, which a test model gives as its output. */
async function answerOfPipeline(name: string): Promise<string> {
  const inputs = [{ name: 'predict', datatype: 'FP32', shape: [1, 4], data: [1, 2, 3, 4] }]
  const response = await fetch(`http://${mesh.ingress}/v2/pipelines/${name}/infer`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ inputs }),
    signal: AbortSignal.timeout(10_000),
  })
  const text = await response.text()
  if (!response.ok) throw new Error(`${String(response.status)} ${text}`)
  return (JSON.parse(text) as { outputs: readonly { data: readonly string[] }[] }).outputs[0]?.data[0] ?? ''
}

const sleeping = (ms: number) => ({ kind: 'sleep', ms })

test('a rolling update moves traffic by ready replicas at 200 requests/s, and fails no request (I5)', async () => {
  const spec = { ...echo('rolling'), replicas: 2, rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  await applyAvailable(mesh.admin, 'rolling', spec)
  const load = startLoad({ ingress: mesh.ingress, model: 'rolling' })
  await until('answers of version 1', () => load.outcomes.length > 100)
  const { storageUri } = specOf('rolling-2', { kind: 'slow-load', ms: 700 })
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

test('a bad canary is rolled back, a good one promoted, each by its figures; a scheduler killed meanwhile changes nothing', async () => {
  const pairs = [
    { name: 'failing', canary: { kind: 'fail', status: 500, every: 5 }, base: { kind: 'echo' }, limits: {} },
    { name: 'slow', canary: sleeping(300), base: sleeping(100), limits: { maxP99Ratio: 1.5 } },
    { name: 'good', canary: sleeping(20), base: sleeping(20), limits: { maxP50Ratio: 3 } },
  ]
  await Promise.all(
    pairs.flatMap(({ name, canary, base }) => [applyModel(name, base), applyModel(`${name}-canary`, canary)]),
  )
  const load = startLoad({ ingress: mesh.ingress, model: pairs.map(({ name }) => name), ratePerSecond: 120 })
  await Promise.all(
    pairs.map(({ name, limits }) =>
      mesh.admin.apply(
        experimentResource(name, {
          default: name,
          candidates: [
            { name, weight: 1 },
            { name: `${name}-canary`, weight: 0 },
          ],
          rollout: {
            steps: [30, 60],
            intervalMs: 2_000,
            analysis: { maxErrorRate: 0.05, minRequests: 20, ...limits },
          },
        }),
      ),
    ),
  )
  await untilExperiment(mesh.admin, 'good', ({ active }) => active === true)
  await mesh.kill('scheduler')
  await mesh.start('scheduler')
  const ends = await Promise.all(
    pairs.map(({ name }) =>
      untilExperiment(
        mesh.admin,
        name,
        ({ rollout }) => rollout?.phase !== 'waiting' && rollout?.phase !== 'measuring',
      ),
    ),
  )
  const answers = await answersFromNow(load)
  await load.stop()

  const outcomes = ends.map(({ decisions = [] }) => decisions.map(({ outcome }) => outcome).filter((o) => o !== 'hold'))
  expect(outcomes).toEqual([['rollback'], ['rollback'], ['advance', 'promote']])
  const last = ends.map(({ decisions = [] }) => decisions.at(-1))
  expect(last[0]?.reason).toMatch(/error rate is \d+(\.\d+)? %, above 5 %/)
  expect(last[0]?.canary.errors).toBeGreaterThan(0)
  expect(last[1]?.reason).toMatch(/p99 as a ratio to the default is [\d.]+, above 1.5/)
  expect(last[2]?.canary.requests).toBeGreaterThanOrEqual(20)
  expect(answers).toEqual(new Set(['failing_1', 'slow_1', 'good-canary_1']))

  const { decisions } = (await (
    await fetch(`http://127.0.0.1:${String(mesh.ports.schedulerHttp)}/v1/experiments/failing/decisions`)
  ).json()) as { decisions: readonly { outcome: string }[] }
  expect(decisions.at(-1)?.outcome).toBe('rollback')
  const { events } = await mesh.admin.get('Experiment', 'failing')
  expect(events.map(({ reason }) => reason)).toContain('RolledBack')
})
