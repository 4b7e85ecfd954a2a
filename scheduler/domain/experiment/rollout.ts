/**
 * Progressive delivery as a state machine: step by step more traffic for the canary, decided by what was measured. Pure; the state
 * is a part of the experiment's document, so a scheduler that restarts continues in the same step: none is skipped and
 * none is repeated. Reporters send totals, so the step's window goes on too; too little data never promotes.
 */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import { judge } from './analysis.ts'
import { failsClearly } from './clear-failure.ts'
import { type Figures, type Measurement, toFigures } from './measurement.ts'

export type RolloutSpec = NonNullable<ExperimentSpec['rollout']>
export type AnalysisSpec = NonNullable<RolloutSpec['analysis']>

export interface RolloutState {
  /** What it was begun for (`rolloutKey`): anything else begins another one. */
  readonly key: string
  readonly phase: 'waiting' | 'measuring' | 'promoted' | 'held' | 'rolledBack'
  /** Index into `rollout.steps`. */
  readonly step: number
  /** While measuring: since when, and when the next decision is due. */
  readonly sinceMs?: number
  readonly decideAtMs?: number
}

export interface Decision {
  readonly atMs: number
  readonly step: number
  /** The canary's share that it was made at, in percent. */
  readonly weight: number
  readonly outcome: 'advance' | 'promote' | 'hold' | 'rollback'
  readonly reason: string
  readonly canary: Figures
  readonly default: Figures
  /** How often it was made in a row; absent: once. */
  readonly times?: number
}

export interface RolloutInput {
  readonly key: string
  readonly rollout: RolloutSpec
  readonly nowMs: number
  /** Every candidate is ready, and every Envoy has ACKed the weights of this step. */
  readonly isSettled: boolean
  /** What was measured in the window that `sinceMs` names. */
  readonly measured: (sinceMs: number) => { readonly canary: Measurement; readonly default: Measurement }
}

export interface RolloutStep {
  readonly state: RolloutState
  readonly decision?: Decision
}

/** The next state; the same one while there is nothing to do. Repeating it changes nothing. */
export function advanceRollout(before: RolloutState | undefined, input: RolloutInput): RolloutStep {
  if (before?.key !== input.key) return { state: waitingFor(input.key, 0) }
  switch (before.phase) {
    case 'promoted':
    case 'held':
    case 'rolledBack':
      return { state: before }
    case 'waiting':
      if (!input.isSettled) return { state: before }
      return {
        state: {
          ...before,
          phase: 'measuring',
          sinceMs: input.nowMs,
          decideAtMs: input.nowMs + input.rollout.intervalMs,
        },
      }
    case 'measuring':
      if (!input.isSettled) return { state: waitingFor(before.key, before.step) } // what it measured is of no use
      return decide(before, input)
  }
}

/** Before the interval's end only a clear failure is decided. */
function decide(before: RolloutState, input: RolloutInput): RolloutStep {
  const { rollout, nowMs } = input
  const analysis = rollout.analysis ?? {}
  const measured = input.measured(before.sinceMs ?? nowMs)
  const isEarly = nowMs < (before.decideAtMs ?? 0)
  if (isEarly && !failsClearly(analysis, measured.canary, measured.default)) return { state: before }
  const figures = { canary: toFigures(measured.canary), default: toFigures(measured.default) }
  const { verdict, reason } = judge(analysis, figures.canary, figures.default)
  if (isEarly && verdict !== 'failed') return { state: before }
  const made = (outcome: Decision['outcome']): Decision => ({
    atMs: nowMs,
    step: before.step,
    weight: canaryWeight(before, rollout),
    outcome,
    reason: isEarly ? `${reason}: too clear to wait for the end of the interval` : reason,
    ...figures,
  })
  const end = (phase: 'promoted' | 'held' | 'rolledBack', outcome: Decision['outcome']): RolloutStep => ({
    state: { key: before.key, phase, step: before.step },
    decision: made(outcome),
  })
  switch (verdict) {
    case 'insufficient':
      return { state: { ...before, decideAtMs: nowMs + rollout.intervalMs }, decision: made('hold') }
    case 'failed':
      return rollout.onFailure === 'hold' ? end('held', 'hold') : end('rolledBack', 'rollback')
    case 'passed':
      if (before.step + 1 < rollout.steps.length)
        return { state: waitingFor(before.key, before.step + 1), decision: made('advance') }
      return rollout.onSuccess === 'hold' ? end('held', 'hold') : end('promoted', 'promote')
  }
}

/** The canary's share of the traffic in percent; the default has the rest. */
export function canaryWeight({ phase, step }: RolloutState, { steps }: RolloutSpec): number {
  if (phase === 'promoted') return 100
  return phase === 'rolledBack' ? 0 : (steps[step] ?? 0)
}

/** More of the same says only that it goes on: one entry, with the newest figures. */
export function recordDecision(known: readonly Decision[], made: Decision, max: number): readonly Decision[] {
  const last = known.at(-1)
  if (last?.outcome !== 'hold' || made.outcome !== 'hold' || last.step !== made.step)
    return [...known, made].slice(-max)
  return [...known.slice(0, -1), { ...made, times: (last.times ?? 1) + 1 }]
}

const waitingFor = (key: string, step: number): RolloutState => ({ key, phase: 'waiting', step })
