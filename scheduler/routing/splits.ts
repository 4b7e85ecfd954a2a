/** Experiments -> splits: which requests go to which candidate. */
import type { HeaderMatchIr, SplitIr } from '../../xds/index.ts'
import type { ExperimentDocument, ExperimentRouteDocument } from '../domain/documents.ts'

/** What the router filter can count with. */
const MAX_WEIGHT = 1_000_000

/** Its own endpoint, and that of its default; none while Envoy shall not know the experiment. */
export function toSplits({ name, route }: ExperimentDocument): readonly SplitIr[] {
  if (route === undefined) return []
  const targets = [...(route.default === undefined ? [] : [targetOf(route, route.default)]), `${name}.experiment`]
  const content = toContent(name, route)
  return targets.map((target) => ({ target, ...content }))
}

const targetOf = ({ resourceType }: ExperimentRouteDocument, name: string): string =>
  resourceType === 'pipeline' ? `${name}.pipeline` : name

function toContent(name: string, route: ExperimentRouteDocument): Omit<SplitIr, 'target'> {
  const highest = Math.max(...route.candidates.map(({ weight }) => weight))
  const scaled = (weight: number): number =>
    highest <= MAX_WEIGHT ? weight : Math.min(weight, Math.max(1, Math.round((weight / highest) * MAX_WEIGHT)))
  return {
    seed: name,
    candidates: route.candidates.map(({ name: candidate, weight, match }) => ({
      target: targetOf(route, candidate),
      weight: scaled(weight),
      ...(match === undefined ? {} : { match: match.map(toMatch) }),
    })),
    ...(route.stickyHeader === undefined ? {} : { stickyHeader: route.stickyHeader }),
    ...(route.measured === true ? { measured: true } : {}),
    ...(route.mirror === undefined
      ? {}
      : { mirrors: [{ target: targetOf(route, route.mirror.name), percent: route.mirror.percent }] }),
  }
}

type Match = NonNullable<ExperimentRouteDocument['candidates'][number]['match']>[number]

function toMatch({ header, exact, prefix }: Match): HeaderMatchIr {
  if (exact !== undefined) return { header, exact }
  return prefix === undefined ? { header, present: true } : { header, prefix }
}
