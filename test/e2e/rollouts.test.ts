/** `spec.rollout` on a real Envoy, Redis and pipeline gateway: canaries that decide by themselves while the scheduler is killed in every step. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ExperimentSpec } from '../../api/resources/experiment.ts'
import type { ExperimentStatus, StoredExperiment } from '../../api/resources/status.ts'
import { answersFromNow, applyPipelineAround, applyTestModel, experimentResource } from '../support/experiments.ts'
import { until } from '../support/models.ts'
import { describeFailures, startLoad } from '../support/open-loop.ts'
import { printLogsOfFailedTests, startMesh, type TestMesh } from '../support/processes.ts'

let mesh: TestMesh
printLogsOfFailedTests(() => mesh)

beforeAll(async () => {
  mesh = await startMesh({ modelServer: 'test', pipelineGateways: 1, schedulerFlags: ['--lease-ttl-ms', '1000'] })
})
afterAll(() => mesh.stop())

const sleeping = (ms: number) => ({ kind: 'sleep', ms })
/** Five rollouts and as many restarts as there are steps, on a machine that does other things as well. */
const DEADLINE_MS = 90_000
const STEPS = [40, 80]
/** Longer than any test: only what is clear before is decided. */
const FOR_EVER_MS = 600_000
/** Of a step: time enough to see it and kill the scheduler in it, and so much that a process may stand still for two seconds. */
const INTERVAL_MS = 5_000

interface Pair {
  readonly name: string
  readonly base: Readonly<Record<string, unknown>>
  readonly canary: Readonly<Record<string, unknown>>
  readonly limits: NonNullable<NonNullable<ExperimentSpec['rollout']>['analysis']>
  readonly intervalMs?: number
  readonly resourceType?: 'model' | 'pipeline'
}

const statusOf = async (name: string): Promise<ExperimentStatus> =>
  ((await mesh.admin.get('Experiment', name)).resource as StoredExperiment).status ?? {}

const isGoingOn = ({ rollout }: ExperimentStatus): boolean =>
  rollout === undefined || rollout.phase === 'waiting' || rollout.phase === 'measuring'

const decided = ({ decisions = [] }: ExperimentStatus): readonly string[] =>
  decisions.filter(({ outcome }) => outcome !== 'hold').map(({ outcome, step }) => `${outcome} ${String(step)}`)

/** Kills the scheduler as soon as one of them is in a step that it was not killed in yet; until all have ended. */
async function killInEveryStep(names: readonly string[], onStep: (step: string) => void): Promise<readonly string[]> {
  const killedIn = new Set<string>()
  const haveEnded = async (): Promise<boolean> => {
    const states = await Promise.all(names.map(async (name) => ({ name, status: await statusOf(name) })))
    const going = states.filter(({ status }) => isGoingOn(status))
    const steps = going.flatMap(({ name, status }) =>
      status.rollout === undefined ? [] : [`${name} ${String(status.rollout.step)}`],
    )
    if (steps.some((step) => !killedIn.has(step))) {
      for (const step of steps) onStep(step)
      await mesh.kill('scheduler')
      for (const step of steps) killedIn.add(step)
      await mesh.start('scheduler')
    }
    return going.length === 0
  }
  await until('the end of all rollouts', haveEnded, DEADLINE_MS)
  return [...killedIn].toSorted()
}

test('bad canaries are rolled back, good ones promoted, models and pipelines, by their figures, and a scheduler killed in every step changes no outcome and fails no request', async () => {
  const turnsBad = join(mesh.folder, 'worse-is-slow-now')
  const pairs: readonly Pair[] = [
    { name: 'failing', base: sleeping(0), canary: { kind: 'fail', status: 500, every: 5 }, limits: { maxErrorRate: 0.01, minRequests: 100 }, intervalMs: FOR_EVER_MS }, // prettier-ignore
    {
      name: 'slow',
      base: sleeping(100),
      canary: sleeping(400),
      limits: { maxP99Ratio: 1.5, maxP50Ratio: 2, minRequests: 100 },
    },
    { name: 'worse', base: sleeping(0), canary: { ...sleeping(500), whileThereIs: turnsBad }, limits: { maxP50Ms: 400 } }, // prettier-ignore
    { name: 'good', base: sleeping(20), canary: sleeping(20), limits: { maxErrorRate: 0.05, maxP50Ratio: 3 } },
    { name: 'pipes', base: sleeping(20), canary: sleeping(20), limits: { maxErrorRate: 0.05, maxP50Ratio: 3 }, resourceType: 'pipeline' }, // prettier-ignore
  ]
  await Promise.all(
    pairs.map(async ({ name, base, canary, resourceType = 'model' }) => {
      const suffix = resourceType === 'pipeline' ? '-step' : ''
      await applyTestModel(mesh, `${name}${suffix}`, base)
      await applyTestModel(mesh, `${name}-canary${suffix}`, canary)
      if (resourceType !== 'pipeline') return
      await applyPipelineAround(mesh, name, `${name}${suffix}`)
      await applyPipelineAround(mesh, `${name}-canary`, `${name}-canary${suffix}`)
    }),
  )
  const names = pairs.map(({ name }) => name)
  const load = startLoad({
    ingress: mesh.ingress,
    model: names.map((name) => (name === 'pipes' ? 'pipes.pipeline' : name)),
    ratePerSecond: 150,
  })
  await Promise.all(
    pairs.map(({ name, limits, intervalMs = INTERVAL_MS, resourceType = 'model' }) =>
      mesh.admin.apply(
        experimentResource(name, {
          resourceType,
          default: name,
          candidates: [
            { name, weight: 1 },
            { name: `${name}-canary`, weight: 0 },
          ],
          rollout: { steps: STEPS, intervalMs, analysis: { minRequests: 20, ...limits } },
        }),
      ),
    ),
  )
  const killedIn = await killInEveryStep(names, (step) => {
    if (step === 'worse 2') writeFileSync(turnsBad, '')
  })
  expect(killedIn).toEqual(['failing 1', 'good 1', 'good 2', 'pipes 1', 'pipes 2', 'slow 1', 'worse 1', 'worse 2']) // prettier-ignore
  await mesh.kill('scheduler')
  await mesh.start('scheduler')
  const ends = await Promise.all(names.map(statusOf))
  const answers = await answersFromNow(load)
  const report = await load.stop()

  const promoted = ['advance 1', 'promote 2']
  expect(ends.map(decided)).toEqual([['rollback 1'], ['rollback 1'], ['advance 1', 'rollback 2'], promoted, promoted])
  const [failing, slow, worse, good] = ends.map(({ decisions = [] }) => decisions.at(-1))
  expect(failing?.reason).toMatch(/^error rate is \d+(\.\d+)? %, above 1 %: too clear to wait/)
  expect(failing?.canary.errors).toBeGreaterThan(0)
  expect(slow?.reason).toMatch(/p(?:99|50) as a ratio to the default is [\d.]+, above/)
  expect(worse?.reason).toMatch(/p50 is [\d.]+ ms, above 400 ms/)
  expect(good?.canary.requests).toBeGreaterThanOrEqual(20)
  expect([...answers].toSorted()).toEqual(['failing_1', 'good-canary_1', 'pipes-canary-step_1', 'slow_1', 'worse_1'])

  const unasked = report.failed.filter(({ model, detail }) => model !== 'failing' || !detail.includes('on purpose'))
  expect(unasked, describeFailures({ ...report, failed: unasked })).toEqual([])

  const { decisions } = (await (
    await fetch(`http://127.0.0.1:${String(mesh.ports.schedulerHttp)}/v1/experiments/good/decisions`)
  ).json()) as { decisions: readonly { outcome: string }[] }
  expect(decisions.filter(({ outcome }) => outcome !== 'hold')).toHaveLength(2)
  const { events } = await mesh.admin.get('Experiment', 'good')
  const told = events.map(({ reason }) => reason).filter((reason) => /^(Rollout(Advanced|Promoted)|RolledBack)$/.test(reason)) // prettier-ignore
  expect(told).toEqual(['RolloutAdvanced', 'RolloutPromoted'])
})
