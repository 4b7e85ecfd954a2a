import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Measurement } from '../../../../scheduler/domain/experiment/measurement.ts'
import {
  advanceRollout,
  canaryWeight,
  type Decision,
  recordDecision,
  type RolloutInput,
  type RolloutSpec,
  type RolloutState,
} from '../../../../scheduler/domain/experiment/rollout.ts'

const ROLLOUT: RolloutSpec = {
  steps: [5, 25, 50],
  intervalMs: 1_000,
  analysis: { maxErrorRate: 0.01, maxP99Ratio: 1.5, minRequests: 100 },
}

const measured = (requests: number, errors = 0, p99Us = 1_000): Measurement => ({
  requests,
  errors,
  buckets: [{ lowerUs: 0, upperUs: p99Us, count: requests }],
})
const GOOD = { canary: measured(200), default: measured(1_000) }

const input = (nowMs: number, more: Partial<RolloutInput> = {}): RolloutInput => ({
  key: 'k',
  rollout: ROLLOUT,
  nowMs,
  isSettled: true,
  measured: () => GOOD,
  ...more,
})

/** Plays second by second; what was decided. */
function play(seconds: number, at: (second: number) => Partial<RolloutInput>, restartedAt = new Set<number>()) {
  let state: RolloutState | undefined
  let decisions: readonly Decision[] = []
  let seenSince = -1 // what a scheduler that restarted has measured since
  for (let second = 0; second < seconds; second += 1) {
    if (restartedAt.has(second)) {
      state = state && (JSON.parse(JSON.stringify(state)) as RolloutState)
      seenSince = second * 1_000
    }
    for (let again = 0; again < 3; again += 1) {
      const given = input(second * 1_000, at(second))
      const step = advanceRollout(state, {
        ...given,
        measured: (sinceMs) => {
          const data = given.measured(sinceMs)
          return seenSince >= second * 1_000 ? { canary: measured(0), default: data.default } : data
        },
      })
      state = step.state
      if (step.decision !== undefined) decisions = recordDecision(decisions, step.decision, 50)
    }
  }
  return { state, decisions }
}

describe('a rollout', () => {
  test('takes a good canary through every step and promotes it', () => {
    const { state, decisions } = play(20, () => ({}))
    expect(decisions.map(({ outcome, weight }) => `${outcome} at ${String(weight)}`)).toEqual([
      'advance at 5',
      'advance at 25',
      'promote at 50',
    ])
    expect(state && canaryWeight(state, ROLLOUT)).toBe(100)
  })

  test.each([
    ['20 % errors', { canary: measured(200, 40), default: measured(1_000) }, 'error rate is 20 %, above 1 %'],
    [
      'doubled p99',
      { canary: measured(200, 0, 2_000), default: measured(1_000) },
      'p99 as a ratio to the default is 2',
    ],
  ])('rolls back a canary with %s, in its first step', (_what, data, reason) => {
    const { state, decisions } = play(20, () => ({ measured: () => data }))
    expect(decisions).toHaveLength(1)
    expect(decisions[0]).toMatchObject({ outcome: 'rollback', step: 0, weight: 5 })
    expect(decisions[0]?.reason).toContain(reason)
    expect(decisions[0]?.canary.requests).toBe(200)
    expect(state && canaryWeight(state, ROLLOUT)).toBe(0)
  })

  test('rolls a clear failure back at once, and waits out the interval with everything else', () => {
    const long = { ...ROLLOUT, intervalMs: 600_000 }
    const playLong = (canary: Measurement) =>
      play(500, (second) => ({
        rollout: long,
        measured: () => ({ canary: second < 60 ? measured(0) : canary, default: measured(1_000) }),
      }))
    const bad = playLong(measured(200, 40))
    expect(bad.decisions).toMatchObject([
      {
        outcome: 'rollback',
        atMs: 60_000,
        reason: 'error rate is 20 %, above 1 %: too clear to wait for the end of the interval',
      },
    ])
    expect(playLong(measured(200, 3)).state?.phase, 'perhaps by chance').toBe('measuring')
    expect(playLong(measured(99, 99)).state?.phase, 'too few').toBe('measuring')
    expect(playLong(measured(200)).state?.phase, 'good').toBe('measuring')
    const held = play(500, () => ({
      rollout: { ...long, onFailure: 'hold' },
      measured: () => ({ canary: measured(200, 40), default: measured(1_000) }),
    }))
    expect(held.state).toMatchObject({ phase: 'held', step: 0 })
  })

  test('holds where it is when that is what its failure or success shall do', () => {
    const bad = { canary: measured(200, 40), default: measured(1_000) }
    const failed = play(20, () => ({ rollout: { ...ROLLOUT, onFailure: 'hold' }, measured: () => bad }))
    expect(failed.state).toMatchObject({ phase: 'held', step: 0 })
    const good = play(20, () => ({ rollout: { ...ROLLOUT, onSuccess: 'hold' } }))
    expect(good.state).toMatchObject({ phase: 'held', step: 2 })
    expect(good.state && canaryWeight(good.state, ROLLOUT)).toBe(50)
  })

  test('with too little data waits for more, told once, and goes on when it has come', () => {
    const few = { canary: measured(99, 99), default: measured(1_000) }
    const { state, decisions } = play(20, (second) => (second < 10 ? { measured: () => few } : {}))
    expect(decisions.map(({ outcome }) => outcome)).toEqual(['hold', 'advance', 'advance', 'promote'])
    expect(decisions[0]?.reason).toBe('the canary has 99 of the 100 requests that a decision needs')
    expect(decisions[0]?.times).toBeGreaterThan(1)
    expect(state?.phase).toBe('promoted')
  })

  test('waits while a candidate is not ready, and measures anew afterwards', () => {
    const { state, decisions } = play(11, (second) => ({ isSettled: second < 3 || second > 9 }))
    expect(decisions).toHaveLength(2)
    expect(state).toMatchObject({ phase: 'measuring', step: 2, sinceMs: 10_000 })
  })

  test('begins anew when it is another one', () => {
    const { state } = play(5, () => ({}))
    const next = advanceRollout(state, input(9_000, { key: 'other' }))
    expect(next.state).toEqual({ key: 'other', phase: 'waiting', step: 0 })
  })

  test('never skips nor repeats a step, whenever the scheduler is killed: the outcome is the same', () => {
    const outcomes = fc.constantFrom<typeof GOOD>(
      GOOD,
      { canary: measured(200, 40), default: measured(1_000) },
      { canary: measured(200, 0, 9_000), default: measured(1_000) },
    )
    fc.assert(
      fc.property(outcomes, fc.uniqueArray(fc.nat({ max: 59 }), { maxLength: 30 }), (data, kills) => {
        const told = (run: ReturnType<typeof play>) => ({
          end: run.state?.phase,
          steps: run.decisions.filter(({ outcome }) => outcome !== 'hold').map(({ step, outcome }) => [step, outcome]),
        })
        const undisturbed = play(100, () => ({ measured: () => data }))
        expect(told(play(100, () => ({ measured: () => data }), new Set(kills)))).toEqual(told(undisturbed))
      }),
    )
  })

  test('never gives a canary more than the next step, and only after a decision that says so', () => {
    const second = fc.record({
      isSettled: fc.boolean(),
      canary: fc.tuple(fc.nat({ max: 300 }), fc.nat({ max: 5 })),
    })
    fc.assert(
      fc.property(fc.array(second, { maxLength: 80 }), (seconds) => {
        let state: RolloutState | undefined
        for (const [index, { isSettled, canary }] of seconds.entries()) {
          const before: RolloutState | undefined = state
          const data = { canary: measured(canary[0], Math.min(canary[0], canary[1])), default: measured(1_000) }
          const { state: after, decision } = advanceRollout(
            state,
            input(index * 700, { isSettled, measured: () => data }),
          )
          const grew = before !== undefined && canaryWeight(after, ROLLOUT) > canaryWeight(before, ROLLOUT)
          if (grew) expect(['advance', 'promote']).toContain(decision?.outcome)
          if (grew) expect(canary[0]).toBeGreaterThanOrEqual(100)
          if (before !== undefined) expect(after.step - before.step).toBeLessThanOrEqual(1)
          state = after
        }
      }),
    )
  })
})
