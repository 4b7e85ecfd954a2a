/** Experiments through the scheduler with a real Redis: what is measured beside Envoys decides, whichever scheduler leads. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it } from 'vitest'
import { silentLogger } from '../../kit/log.ts'
import { PLAIN } from '../../kit/grpc-security.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { startReporter } from '../../mesh/measure/reporter.ts'
import type { Reading } from '../../mesh/measure/windows.ts'
import { experimentResource, untilExperiment } from '../support/experiments.ts'
import { type LiveScene, useLiveScenes } from '../support/scheduler-live.ts'
import { aModelResource } from '../support/scheduler-rig.ts'

const scenes = useLiveScenes()
let scene: LiveScene
const parts: Running[] = []

afterEach(async () => {
  for (const part of parts.splice(0)) await part.stop()
})

/** An Envoy whose candidates get 100 requests at each reading, of which the canary fails so many; it tells this scheduler. */
function measureBeside(agentPort: number, canaryErrors: () => number): { readings: number } {
  const told = { readings: 0 }
  const totals = { requests: 0, errors: 0 }
  const bucket = { lowerUs: 1_000, upperUs: 1_100 }
  const read = (): Promise<Reading> => {
    told.readings += 1
    totals.requests += 100
    totals.errors += canaryErrors()
    const count = (errors: number) => ({
      requests: totals.requests,
      errors,
      buckets: [{ ...bucket, count: totals.requests - errors }],
    })
    const candidates = new Map([
      ['iris', count(0)],
      ['canary', count(totals.errors)],
    ])
    return Promise.resolve(new Map([['exp', candidates]]))
  }
  const scheduler = `127.0.0.1:${String(agentPort)}`
  parts.push(startReporter({ scheduler, security: PLAIN, intervalMs: 50, read, log: silentLogger }))
  return told
}

const rollout = (steps: readonly number[], intervalMs = 1_000) =>
  experimentResource('exp', {
    default: 'iris',
    candidates: [
      { name: 'iris', weight: 1 },
      { name: 'canary', weight: 0 },
    ],
    rollout: { steps, intervalMs, analysis: { maxErrorRate: 0.05, maxP99Ratio: 1.5, minRequests: 300 } },
  })

async function startModels(): Promise<void> {
  scene.agent()
  scene.envoy()
  for (const name of ['iris', 'canary']) {
    await scene.rig.admin.apply(aModelResource(name))
    await scene.rig.untilModel(name, ({ state }) => state === 'ModelAvailable')
  }
}

const ended = (phase: string) =>
  untilExperiment(scene.rig.admin, 'exp', (status) => status.rollout?.phase === phase).then(({ decisions = [] }) =>
    decisions.filter(({ outcome }) => outcome !== 'hold').map(({ step, outcome }) => `${outcome} ${String(step)}`),
  )

it('a scheduler that is restarted in every step neither skips nor repeats one, and promotes by what two Envoys measured', async () => {
  scene = await scenes.start()
  await startModels()
  const { agent } = scene.rig.ports
  measureBeside(agent, () => 0)
  measureBeside(agent, () => 1)
  await scene.rig.admin.apply(rollout([10, 50]))
  for (const step of [1, 2]) {
    await untilExperiment(
      scene.rig.admin,
      'exp',
      ({ rollout: state }) => state?.phase === 'measuring' && state.step === step,
    )
    await scene.restart()
    scene.envoy()
  }
  expect(await ended('promoted')).toEqual(['advance 1', 'promote 2'])
  const { events } = await scene.rig.admin.get('Experiment', 'exp')
  const told = events.map(({ reason }) => reason).filter((reason) => /^Rollout(Advanced|Promoted)$/.test(reason))
  expect(told).toEqual(['RolloutAdvanced', 'RolloutPromoted'])
})

it('what is reported to a scheduler that does not lead reaches the leader, and a failing canary is rolled back at once', async () => {
  scene = await scenes.start()
  await startModels()
  const other = await scene.another(['--instance-id', 'standby', '--lease-ttl-ms', '300'])
  measureBeside(other.ports.agent, () => 20)
  await scene.rig.admin.apply(rollout([10], 600_000))
  expect(await ended('rolledBack')).toEqual(['rollback 1'])
})

it('without data it holds, and Envoy is not read while nothing is measured', async () => {
  scene = await scenes.start()
  await startModels()
  const told = measureBeside(scene.rig.ports.agent, () => 0)
  await scene.rig.admin.apply(
    experimentResource('other', {
      default: 'iris',
      candidates: [
        { name: 'iris', weight: 1 },
        { name: 'canary', weight: 1 },
      ],
    }),
  )
  await untilExperiment(scene.rig.admin, 'other', ({ active }) => active === true)
  await sleep(300) // six reports
  expect(told.readings).toBe(0)
  await scene.rig.admin.delete('Experiment', 'other')
  for (const part of parts.splice(0)) await part.stop()

  await scene.rig.admin.apply(rollout([10]))
  const status = await untilExperiment(scene.rig.admin, 'exp', ({ decisions = [] }) => decisions.length > 0)
  expect(status.rollout).toMatchObject({ phase: 'measuring', step: 1, weight: 10 })
  expect(status.decisions).toMatchObject([
    { outcome: 'hold', reason: 'the canary has 0 of the 300 requests that a decision needs' },
  ])
})
