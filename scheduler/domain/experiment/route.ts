/** What Envoy is to be told of an experiment. Pure. */
import type { ExperimentSpec } from '../../../api/resources/experiment.ts'
import type { ExperimentRouteDocument, ExperimentTargetDocument } from '../documents.ts'
import { canaryWeight, type RolloutState } from './rollout.ts'

export interface RouteScene {
  readonly spec: ExperimentSpec
  readonly candidates: readonly ExperimentTargetDocument[]
  readonly mirror: ExperimentTargetDocument | undefined
  readonly rollout: RolloutState | undefined
}

type Route = Omit<ExperimentRouteDocument, 'sinceRevision' | 'ackedAtMs' | 'continues'>

/** Undefined: the experiment takes nobody's traffic, and its default, if it has one, is itself. */
export function toRoute({ spec, candidates, mirror, rollout }: RouteScene): Route | undefined {
  const wanted = weightsOf(spec, rollout)
  const ready = new Set(candidates.flatMap(({ name, ready: isReady }) => (isReady ? [name] : [])))
  const taking = wanted.filter(({ name }) => ready.has(name)) // those that are left share what the others would have had
  if (taking.every(({ weight }) => weight === 0)) return undefined
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
