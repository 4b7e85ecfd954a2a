/** What must be true once everything has settled, and which failed requests a disturbance explains. Pure. */
import type { Outcome } from '../support/open-loop.ts'
import type { Artifact, ModelName, Step } from './plan.ts'

export interface ExpectedModel {
  /** What users asked for last (I6). */
  readonly artifact: Artifact
  readonly replicas: number
}
export type Expectation = ReadonlyMap<ModelName, ExpectedModel>

/** After the step, as users see it; a process that was disturbed changes nothing. */
export function after(before: Expectation, step: Step): Expectation {
  const next = new Map(before)
  if (step.kind === 'apply') next.set(step.model, { artifact: step.artifact, replicas: step.replicas })
  if (step.kind === 'delete') next.delete(step.model)
  return next
}

/** Models that answer all through a round: those that are there and not deleted (I4, I5). */
export function steadyModels(before: Expectation, round: readonly Step[]): ModelName[] {
  const deleted = new Set(round.flatMap((step) => (step.kind === 'delete' ? [step.model] : [])))
  return [...before.keys()].filter((model) => !deleted.has(model))
}

export interface Disturbance {
  readonly process: string
  readonly kind: 'kill' | 'pause'
  /** When the signal was sent, and when the process served again. */
  readonly fromMs: number
  readonly untilMs: number
}

/** Between our clock and the kernel's. */
const CLOCK_SLOP_MS = 150
/** Clients notice a dead Envoy and connect again. */
const RECONNECT_MS = 1_000

/** Failures that no killed process had in flight. A process that is only paused answers late, but it answers. */
export function unexplained(outcomes: readonly Outcome[], disturbances: readonly Disturbance[]): readonly Outcome[] {
  const kills = disturbances.filter((disturbance) => disturbance.kind === 'kill')
  const explains = (kill: Disturbance, outcome: Outcome): boolean =>
    kill.process.startsWith('envoy')
      ? outcome.endedAtMs >= kill.fromMs && outcome.sentAtMs <= kill.untilMs + RECONNECT_MS
      : kill.process.startsWith('embedded') && // the others are on no request's path
        outcome.endedAtMs >= kill.fromMs &&
        outcome.sentAtMs <= noticedMs(kill, disturbances) + CLOCK_SLOP_MS
  return outcomes.filter((outcome) => !outcome.ok && !kills.some((kill) => explains(kill, outcome)))
}

/** A paused Envoy sends what came meanwhile over connections whose end it reads only then. */
function noticedMs({ fromMs }: Disturbance, disturbances: readonly Disturbance[]): number {
  const pauses = disturbances.filter(
    ({ process, kind, ...pause }) =>
      process.startsWith('envoy') && kind === 'pause' && pause.fromMs <= fromMs && fromMs <= pause.untilMs,
  )
  return Math.max(fromMs, ...pauses.map(({ untilMs }) => untilMs))
}
