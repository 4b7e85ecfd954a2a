/** What Envoy is to be told of an experiment. Pure. */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import type { ExperimentRouteDocument } from '../documents.ts'
import type { TargetState } from './readiness.ts'
import { canaryWeight, type RolloutState } from './rollout.ts'

export interface RouteScene {
  readonly spec: ExperimentSpec
  readonly candidates: readonly TargetState[]
  readonly mirror: TargetState | undefined
  readonly rollout: RolloutState | undefined
}

type Route = Omit<ExperimentRouteDocument, 'sinceRevision' | 'ackedAtMs' | 'continues'>

/** Undefined: the experiment takes nobody's traffic, and its default, if it has one, is itself. */
export function toRoute({ spec, candidates, mirror, rollout }: RouteScene): Route | undefined {
  const taking = takingOf(weightsOf(spec, rollout), spec.default, candidates)
  if (taking === undefined) return undefined
  return {
    resourceType: spec.resourceType ?? 'model',
    candidates: taking,
    ...(spec.default === undefined ? {} : { default: spec.default }),
    ...(spec.mirror === undefined || mirror?.ready !== true || spec.mirror.percent === 0
      ? {}
      : { mirror: { name: spec.mirror.name, percent: spec.mirror.percent } }),
    ...(spec.stickiness === undefined ? {} : { stickyHeader: spec.stickiness.header }),
    ...(rollout?.phase === 'waiting' || rollout?.phase === 'measuring' ? { measured: true } : {}),
  }
}

/**
 * Who takes the requests: those that are ready share what the others would have had; else the default has all; else, as nobody can answer,
 * they go where they will be answered again soonest, to those that have routes: a 503 until then, and no 404 of an endpoint that exists.
 */
function takingOf(
  wanted: Route['candidates'],
  baseline: string | undefined,
  candidates: readonly TargetState[],
): Route['candidates'] | undefined {
  const states = new Map(candidates.map((candidate) => [candidate.name, candidate]))
  const ready = wanted.filter(({ name }) => states.get(name)?.ready === true)
  const hasShares = (some: Route['candidates']): boolean => some.some(({ weight }) => weight > 0)
  if (hasShares(ready)) return ready
  if (ready.some(({ name }) => name === baseline))
    return ready.map((candidate) => (candidate.name === baseline ? { ...candidate, weight: 1 } : candidate))
  const routed = wanted.filter(({ name }) => states.get(name)?.isRouted === true)
  return hasShares(routed) ? routed : undefined
}

/** As the spec has them, or as the rollout does: rolled back, the canary gets nobody, whatever its rules say. */
function weightsOf(spec: ExperimentSpec, rollout: RolloutState | undefined): Route['candidates'] {
  const candidates = (spec.candidates ?? []).map(({ name, weight, match = [] }) => ({
    name,
    weight,
    ...(match.length === 0 ? {} : { match }),
  }))
  if (spec.rollout === undefined || rollout === undefined) return candidates
  const share = canaryWeight(rollout, spec.rollout)
  return candidates.map(({ match, ...candidate }) => {
    const isCanary = candidate.name !== spec.default
    const isOut = isCanary && rollout.phase === 'rolledBack'
    return {
      ...candidate,
      weight: isCanary ? share : 100 - share,
      ...(match === undefined || isOut ? {} : { match }),
    }
  })
}
