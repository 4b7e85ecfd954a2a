/**
 * One step of an experiment towards what users asked. Pure, and harmless when repeated. Its record holds what Envoy is told
 * (`route`), so routes stay a function of documents alone (I9).
 *
 * It takes no traffic until every candidate and the mirror have been ready once; afterwards one that is not ready gets none while another
 * can answer. I2: it is active only once every counting Envoy has ACKed its table.
 */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import { type EventDocument, type ExperimentDocument, type ExperimentRouteDocument, NEXT_COMMIT } from '../documents.ts'
import type { ReconcileContext } from '../reconcile/context.ts'
import type { DependentReconciliation } from '../reconcile/dependent.ts'
import { sameValue } from '../same-value.ts'
import type { Measurement } from './measurement.ts'
import { candidatesOf, type Members, mirrorOf, type TargetState } from './readiness.ts'
import { advanceRollout, type Decision, recordDecision, type RolloutState } from './rollout.ts'
import { toRoute } from './route.ts'
import { toExperimentStatus } from './status.ts'

/** Kept with the experiment. */
const MAX_DECISIONS = 50

/** `candidate` is a target: `iris`, or `p.pipeline`. */
export type Measured = (experiment: string, window: string, candidate: string) => Measurement

export interface ExperimentContext extends Pick<ReconcileContext, 'nowMs' | 'isAcked' | 'heldNodes'> {
  readonly measured: Measured
}

interface Targets {
  readonly candidates: readonly TargetState[]
  readonly mirror: TargetState | undefined
  readonly areReady: boolean
}

export function reconcileExperiment(
  experiment: ExperimentDocument,
  cluster: Members,
  context: ExperimentContext,
): DependentReconciliation<ExperimentDocument> {
  if (experiment.deleted) return release(experiment, context)
  const before = settleRevision(experiment)
  const { spec } = before
  const candidates = candidatesOf(spec, cluster)
  const mirror = mirrorOf(spec, cluster)
  const areReady = [...candidates, ...(mirror === undefined ? [] : [mirror])].every(({ ready }) => ready)
  const targets: Targets = { candidates, mirror, areReady }
  const activated = areReady || before.activated === membersKey(spec)
  const acked = seeAck(before, context)
  const { state, decision } = rollOut(acked, targets, context)
  const next = activated ? toRoute({ spec, candidates, mirror, rollout: state }) : undefined
  const route = replaceRoute(acked, next, decision !== undefined)
  const { route: _, rollout: __, activated: ___, ...rest } = before
  const bare: ExperimentDocument = {
    ...rest,
    ...(activated ? { activated: membersKey(spec) } : {}),
    ...(route === undefined ? {} : { route }),
    ...(state === undefined ? {} : { rollout: state }),
    ...(decision === undefined ? {} : { decisions: recordDecision(before.decisions ?? [], decision, MAX_DECISIONS) }),
  }
  const after = { ...bare, status: toExperimentStatus(bare, targets, context) }
  return {
    document: sameValue(before, after) ? undefined : after,
    events: toEvents(before, after, decision, context.nowMs),
    ...(state?.decideAtMs === undefined ? {} : { wakeAtMs: state.decideAtMs }),
    remove: false,
  }
}

/** What it split goes back; its record goes when no request follows it any more. */
function release(
  experiment: ExperimentDocument,
  context: ExperimentContext,
): DependentReconciliation<ExperimentDocument> {
  const { route, rollout: _, ...rest } = experiment
  if (route !== undefined) return { document: { ...rest, releasedSince: NEXT_COMMIT }, events: [], remove: false }
  const since = experiment.releasedSince ?? 0
  const isFollowed = context.isAcked(since === NEXT_COMMIT ? experiment.revision : since) !== false
  return { document: undefined, events: [], remove: isFollowed }
}

/** Whether an ACK would let it go on. */
export const isAwaitingTableAck = ({ route, releasedSince }: ExperimentDocument): boolean =>
  releasedSince !== undefined || (route !== undefined && route.ackedAtMs === undefined)

/** The window that measurements are taken for; undefined: for none. */
export function windowOf(rollout: RolloutState | undefined): string | undefined {
  if (rollout?.phase !== 'measuring' || rollout.sinceMs === undefined) return undefined
  return `${String(rollout.step)}-${String(rollout.sinceMs)}`
}

/** Replaces NEXT_COMMIT by the revision that the store gave. */
function settleRevision(experiment: ExperimentDocument): ExperimentDocument {
  if (experiment.route?.sinceRevision !== NEXT_COMMIT) return experiment
  return { ...experiment, route: { ...experiment.route, sinceRevision: experiment.revision } }
}

/** I2: remembers that every counting Envoy has ACKed exactly this table. */
function seeAck(experiment: ExperimentDocument, context: ExperimentContext): ExperimentDocument {
  const { route } = experiment
  if (route === undefined || route.ackedAtMs !== undefined || context.isAcked(route.sinceRevision) !== true)
    return experiment
  return { ...experiment, route: { ...route, ackedAtMs: context.nowMs } }
}

function rollOut(
  experiment: ExperimentDocument,
  { candidates, mirror, areReady }: Targets,
  context: ExperimentContext,
): { readonly state?: RolloutState; readonly decision?: Decision } {
  const { spec, route, rollout: before } = experiment
  if (spec.rollout === undefined || spec.default === undefined) return {}
  const baseline = spec.default
  const canary = (spec.candidates ?? []).find(({ name }) => name !== baseline)?.name ?? ''
  const told = toRoute({ spec, candidates, mirror, rollout: before })
  const isFollowed = route?.ackedAtMs !== undefined && sameValue(contentOf(route), told)
  const window = windowOf(before) ?? ''
  const measured = (name: string): Measurement =>
    context.measured(experiment.name, window, spec.resourceType === 'pipeline' ? `${name}.pipeline` : name)
  return advanceRollout(before, {
    key: rolloutKey(spec),
    rollout: spec.rollout,
    nowMs: context.nowMs,
    isSettled: areReady && isFollowed,
    measured: () => ({
      canary: measured(canary),
      default: measured(baseline),
    }),
  })
}

function contentOf(route: ExperimentRouteDocument): object {
  const { sinceRevision: _, ackedAtMs: __, continues: ___, ...content } = route
  return content
}

/** What makes it another rollout: who takes part, and how. */
const rolloutKey = ({ resourceType, default: baseline, candidates, rollout }: ExperimentSpec): string =>
  JSON.stringify([resourceType ?? 'model', baseline, candidates?.map(({ name }) => name), rollout])

const membersKey = ({ resourceType, candidates, mirror }: ExperimentSpec): string =>
  JSON.stringify([resourceType ?? 'model', candidates?.map(({ name }) => name).toSorted(), mirror?.name])

function replaceRoute(
  { route: before, status }: ExperimentDocument,
  next: ReturnType<typeof toRoute>,
  isStep: boolean,
): ExperimentRouteDocument | undefined {
  if (next === undefined) return undefined
  if (before !== undefined && sameValue(contentOf(before), next)) return before
  return { ...next, sinceRevision: NEXT_COMMIT, ...(isStep && status.active ? { continues: true } : {}) }
}

const TOLD = {
  advance: { reason: 'RolloutAdvanced', kind: 'info' },
  promote: { reason: 'RolloutPromoted', kind: 'info' },
  hold: { reason: 'RolloutHeld', kind: 'info' },
  rollback: { reason: 'RolledBack', kind: 'warning' },
} as const

function toEvents(
  before: ExperimentDocument,
  after: ExperimentDocument,
  decision: Decision | undefined,
  atMs: number,
): readonly EventDocument[] {
  const isNews = decision !== undefined && after.decisions?.at(-1)?.times === undefined
  const turned = before.status.active !== after.status.active || before.status.reason !== after.status.reason
  return [
    ...(isNews ? [{ atMs, ...TOLD[decision.outcome], message: describeDecision(decision) }] : []),
    ...(turned
      ? [
          {
            atMs,
            kind: 'info' as const,
            reason: after.status.active ? 'ExperimentActive' : 'ExperimentInactive',
            message: after.status.reason,
          },
        ]
      : []),
  ]
}

function describeDecision({ step, weight, reason, canary, default: base }: Decision): string {
  const figures = (who: string, { requests, errors, p50Ms, p99Ms }: Decision['canary']): string =>
    `${who}: ${String(requests)} requests, ${String(errors)} errors, p50 ${shown(p50Ms)}, p99 ${shown(p99Ms)}`
  return `Step ${String(step + 1)} at ${String(weight)} %: ${reason} (${figures('canary', canary)}; ${figures('default', base)})`
}

const shown = (ms: number | undefined): string => (ms === undefined ? 'unknown' : `${String(Number(ms.toFixed(2)))} ms`)
