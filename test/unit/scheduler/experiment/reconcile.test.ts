import { describe, expect, test } from 'vitest'
import type { ExperimentSpec } from '../../../../api/resources/experiment.ts'
import { toSplits } from '../../../../scheduler/routing/splits.ts'
import { createExperimentScene, type ExperimentScene } from '../../../support/experiment-scene.ts'

const AB: ExperimentSpec = {
  default: 'a',
  candidates: [
    { name: 'a', weight: 50 },
    { name: 'b', weight: 50 },
  ],
}

function started(spec: ExperimentSpec = AB, models = ['a', 'b']): ExperimentScene {
  const scene = createExperimentScene('exp', spec)
  for (const model of models) scene.model(model, 1)
  scene.settle()
  return scene
}

/** As `a=a50,b50 exp.experiment=a50,b50`. */
const routed = (scene: ExperimentScene): string =>
  toSplits(scene.document)
    .map(
      ({ target, candidates }) =>
        `${target}=${candidates.map((one) => `${one.target}${String(one.weight)}`).join(',')}`,
    )
    .join(' ')

describe('activation', () => {
  test('takes no traffic until all candidates and the mirror have been ready once', () => {
    const scene = createExperimentScene('exp', { ...AB, mirror: { name: 'm', percent: 10 } })
    scene.model('a', 1)
    scene.model('b', 0)
    scene.settle()
    expect(routed(scene)).toBe('')
    expect(scene.document.status).toMatchObject({ active: false, mirror: { name: 'm', ready: false } })
    expect(scene.document.status.reason).toContain('b is not ready (ModelProgressing: Loading)')
    expect(scene.document.status.reason).toContain('m is not ready (the model does not exist)')
    scene.model('b', 1)
    scene.model('m', 1)
    scene.settle()
    expect(routed(scene)).toBe('a=a50,b50 exp.experiment=a50,b50')
    expect(toSplits(scene.document)[0]?.mirrors).toEqual([{ target: 'm', percent: 10 }])
    expect(scene.document.status).toMatchObject({ active: true, reason: 'experiment active' })
  })

  test('is active only once every Envoy has ACKed its table (I2)', () => {
    const scene = createExperimentScene('exp', AB)
    scene.acked = 'none'
    scene.model('a', 1)
    scene.model('b', 1)
    scene.settle()
    expect(scene.document.status).toMatchObject({ active: false, reason: "waits for Envoy's ACK of its table" })
    scene.acked = 'no-node'
    expect(scene.settle().status.reason).toContain('no Envoy connected')
    scene.acked = 'all'
    expect(scene.settle().status.active).toBe(true)
  })

  test('a candidate that is not ready any more gets no traffic, the others share it, and the status says so', () => {
    const scene = started(
      {
        candidates: [
          { name: 'a', weight: 10 },
          { name: 'b', weight: 30 },
          { name: 'c', weight: 60 },
        ],
      },
      ['a', 'b', 'c'],
    )
    expect(routed(scene)).toBe('exp.experiment=a10,b30,c60')
    scene.model('c', 0)
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=a10,b30')
    expect(scene.document.status).toMatchObject({ active: false })
    expect(scene.document.status.reason).toContain('its share goes to the others')
    scene.model('c', 1)
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=a10,b30,c60')
    expect(scene.document.status.active).toBe(true)
  })

  test('a candidate that is gone leaves everything to the default when nobody else has a share', () => {
    const scene = started({
      ...AB,
      candidates: [
        { name: 'a', weight: 0 },
        { name: 'b', weight: 1 },
      ],
    })
    expect(routed(scene)).toBe('a=a0,b1 exp.experiment=a0,b1')
    scene.remove('b')
    scene.settle()
    expect(routed(scene)).toBe('a=a1 exp.experiment=a1')
    expect(scene.document.status.active).toBe(false)
  })

  test('while no candidate can answer it keeps its table, so that nobody is told that it does not exist; and says so', () => {
    const scene = started({ candidates: AB.candidates ?? [] })
    const table = routed(scene)
    expect(table).toBe('exp.experiment=a50,b50')
    scene.model('a', 0)
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=b50')
    scene.model('b', 0)
    scene.settle()
    expect(routed(scene)).toBe(table)
    expect(scene.document.status).toMatchObject({ active: false })
    expect(scene.document.status.reason).toContain('no candidate can answer, and get 503 until one is ready')
    scene.model('a', 1)
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=a50')
  })

  test('a candidate that is scaled to zero or gone is not kept, even if nobody is left (I1)', () => {
    const scene = started({ candidates: [{ name: 'a', weight: 1 }] }, ['a'])
    scene.model('a', 0, 0)
    scene.settle()
    expect(routed(scene)).toBe('')
    expect(scene.document.status.reason).toContain('and so is the experiment')
    scene.model('a', 1)
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=a1')
    scene.remove('a')
    scene.settle()
    expect(routed(scene)).toBe('')
  })

  test('pipelines that no gateway has are kept as well', () => {
    const scene = createExperimentScene('exp', { resourceType: 'pipeline', candidates: [{ name: 'p', weight: 1 }] })
    scene.pipeline('p', 1)
    scene.settle()
    scene.pipeline('p', 1, 'PipelineCreate')
    scene.settle()
    expect(routed(scene)).toBe('exp.experiment=p.pipeline1')
    expect(scene.document.status.reason).toContain('p is not ready (PipelineCreate: waits)')
  })

  test('a mirror that is not ready is left out, and the candidates go on', () => {
    const scene = started({ ...AB, mirror: { name: 'm', percent: 0.5 } }, ['a', 'b', 'm'])
    scene.remove('m')
    scene.settle()
    expect(toSplits(scene.document).map(({ mirrors }) => mirrors)).toEqual([undefined, undefined])
    expect(routed(scene)).toBe('a=a50,b50 exp.experiment=a50,b50')
  })

  test('is repeated without a change', () => {
    const scene = started()
    const before = scene.document
    scene.nowMs = 5_000
    expect(scene.settle()).toBe(before)
  })
})

describe('applying again', () => {
  test('replaces at once: the old default is itself again', () => {
    const scene = started()
    scene.apply({ ...AB, default: 'b' })
    expect(scene.document.status.active).toBe(false)
    scene.settle()
    expect(routed(scene)).toBe('b=a50,b50 exp.experiment=a50,b50')
    expect(scene.document.status.active).toBe(true)
  })

  test('with a candidate that was never ready waits again', () => {
    const scene = started()
    scene.apply({
      default: 'a',
      candidates: [
        { name: 'a', weight: 1 },
        { name: 'new', weight: 1 },
      ],
    })
    scene.settle()
    expect(routed(scene)).toBe('')
  })

  test('with other weights goes on, even while one is not ready', () => {
    const scene = started()
    scene.model('b', 0)
    scene.settle()
    scene.apply({
      ...AB,
      candidates: [
        { name: 'a', weight: 9 },
        { name: 'b', weight: 1 },
      ],
    })
    scene.settle()
    expect(routed(scene)).toBe('a=a9 exp.experiment=a9')
  })
})

describe('splits', () => {
  test('of pipelines name pipelines, with stickiness, conditions and fractions of a mirror', () => {
    const scene = createExperimentScene('exp', {
      resourceType: 'pipeline',
      default: 'p',
      candidates: [
        { name: 'p', weight: 9 },
        {
          name: 'q',
          weight: 1,
          match: [
            { header: 'x-team', exact: 'us' },
            { header: 'x-beta', present: true },
          ],
        },
      ],
      mirror: { name: 'r', percent: 0.25 },
      stickiness: { header: 'x-user' },
    })
    for (const pipeline of ['p', 'q', 'r']) scene.pipeline(pipeline, 1)
    scene.settle()
    expect(toSplits(scene.document)).toEqual(
      ['p.pipeline', 'exp.experiment'].map((target) => ({
        target,
        seed: 'exp',
        candidates: [
          { target: 'p.pipeline', weight: 9 },
          {
            target: 'q.pipeline',
            weight: 1,
            match: [
              { header: 'x-team', exact: 'us' },
              { header: 'x-beta', present: true },
            ],
          },
        ],
        stickyHeader: 'x-user',
        mirrors: [{ target: 'r.pipeline', percent: 0.25 }],
      })),
    )
    scene.pipeline('q', undefined)
    scene.settle()
    expect(scene.document.status.reason).toContain('q is not ready (PipelineCreating: waits)')
  })

  test('weights above what the filter counts with keep their ratio, and nobody with a share is forgotten', () => {
    const scene = started(
      {
        candidates: [
          { name: 'a', weight: 4_000_000_000 },
          { name: 'b', weight: 1_000_000_000 },
          { name: 'c', weight: 1 },
          { name: 'd', weight: 0 },
        ],
      },
      ['a', 'b', 'c', 'd'],
    )
    expect(routed(scene)).toBe('exp.experiment=a1000000,b250000,c1,d0')
  })
})

describe('a rollout', () => {
  const ROLLOUT: ExperimentSpec = {
    ...AB,
    rollout: { steps: [10, 50], intervalMs: 1_000, analysis: { maxErrorRate: 0.05, minRequests: 10 } },
  }
  const seen = (requests: number, errors = 0) => ({
    requests,
    errors,
    buckets: [{ lowerUs: 0, upperUs: 1_000, count: requests }],
  })
  const decide = (scene: ExperimentScene, errors: number): void => {
    scene.measure('b', seen(100, errors))
    scene.measure('a', seen(900))
    scene.nowMs = scene.wakeAtMs ?? Number.NaN
    scene.settle()
  }

  test('has its own weights, is measured, stays active through its steps, and ends promoted', () => {
    const scene = started(ROLLOUT)
    expect(routed(scene)).toBe('a=a90,b10 exp.experiment=a90,b10')
    expect(toSplits(scene.document)[0]?.measured).toBe(true)
    decide(scene, 0)
    expect(routed(scene)).toBe('a=a50,b50 exp.experiment=a50,b50')
    decide(scene, 0)
    expect(routed(scene)).toBe('a=a0,b100 exp.experiment=a0,b100')
    expect(toSplits(scene.document)[0]?.measured).toBeUndefined()
    expect(scene.document.decisions?.map(({ outcome }) => outcome)).toEqual(['advance', 'promote'])
    expect(scene.events.map(({ reason }) => reason)).toEqual([
      'ExperimentInactive',
      'ExperimentActive',
      'RolloutAdvanced',
      'RolloutPromoted',
    ])
    expect(scene.events.at(-1)?.message).toBe(
      'Step 2 at 50 %: all limits are kept over 100 requests (canary: 100 requests, 0 errors, p50 0.5 ms, p99 0.99 ms; default: 900 requests, 0 errors, p50 0.5 ms, p99 0.99 ms)',
    )
  })

  test('that fails gives everything back, whatever its conditions say', () => {
    const match = [{ header: 'x-internal', present: true as const }]
    const scene = started({
      ...ROLLOUT,
      candidates: [
        { name: 'a', weight: 1 },
        { name: 'b', weight: 1, match },
      ],
    })
    expect(toSplits(scene.document)[0]?.candidates[1]?.match).toEqual(match)
    decide(scene, 20)
    expect(toSplits(scene.document)[0]?.candidates).toEqual([
      { target: 'a', weight: 100 },
      { target: 'b', weight: 0 },
    ])
    expect(scene.events.at(-1)).toMatchObject({ kind: 'warning', reason: 'RolledBack' })
  })

  test('of pipelines is decided by what is measured of their targets', () => {
    const scene = createExperimentScene('exp', { ...ROLLOUT, resourceType: 'pipeline' })
    for (const pipeline of ['a', 'b']) scene.pipeline(pipeline, 1)
    scene.settle()
    scene.measure('b.pipeline', seen(100, 50))
    scene.measure('a.pipeline', seen(900))
    scene.nowMs = scene.wakeAtMs ?? Number.NaN
    scene.settle()
    expect(scene.document.decisions).toMatchObject([{ outcome: 'rollback', canary: { requests: 100, errors: 50 } }])
  })

  test('does not go on while Envoys have not ACKed the step', () => {
    const scene = started(ROLLOUT)
    scene.acked = 'none'
    decide(scene, 0)
    expect(scene.document.rollout).toMatchObject({ phase: 'waiting', step: 1 })
    expect(scene.wakeAtMs).toBeUndefined()
    scene.acked = 'all'
    scene.settle()
    expect(scene.document.rollout).toMatchObject({ phase: 'measuring', step: 1 })
  })

  test('does not go on while the canary is not ready, and does not judge it by what it did before', () => {
    const scene = started(ROLLOUT)
    scene.model('b', 0)
    scene.settle()
    expect(routed(scene)).toBe('a=a90 exp.experiment=a90')
    expect(scene.document.rollout).toMatchObject({ phase: 'waiting', step: 0 })
    scene.nowMs = 60_000
    scene.model('b', 1)
    scene.settle()
    expect(scene.document.rollout).toMatchObject({ phase: 'measuring', step: 0, sinceMs: 60_000 })
    expect(scene.document.decisions).toBeUndefined()
  })

  test('begins anew when it is applied with other steps', () => {
    const scene = started(ROLLOUT)
    decide(scene, 0)
    scene.apply({ ...ROLLOUT, rollout: { steps: [1], intervalMs: 1_000 } })
    scene.settle()
    expect(routed(scene)).toBe('a=a99,b1 exp.experiment=a99,b1')
  })
})

test('stopping gives everything back, and the record stays until every Envoy follows', () => {
  const scene = started()
  scene.acked = 'none'
  scene.stop()
  scene.settle()
  expect(routed(scene)).toBe('')
  expect(scene.isGone).toBe(false)
  scene.acked = 'all'
  scene.settle()
  expect(scene.isGone).toBe(true)
})
