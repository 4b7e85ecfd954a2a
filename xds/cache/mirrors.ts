/**
 * What splits' mirrors make of a change. The route of a candidate also copies, to the endpoints of the mirror, what comes to it by the
 * split; so it changes with the split and with the mirror's own route. Copies go to endpoint sets of their own, beside the ones of
 * the mirror's route: the same endpoints in clusters that are bounded, and counted, by themselves. Pure.
 */
import type { ChangeIr, EndpointSetIr, RouteIr, RouteMirrorIr, SplitIr } from '../ir/types.ts'

interface Standing {
  readonly splits: readonly SplitIr[]
  /** The route of a target, mirrors included. */
  readonly route: (target: string) => RouteIr | undefined
  readonly sets: ReadonlyMap<string, EndpointSetIr>
}

const mirrorSetId = (endpointSetId: string): string => `${endpointSetId}@mirror`

/** The change with the routes and sets that mirrors add to it. The same object when no split mirrors. */
export function withMirrors(change: ChangeIr, standing: Standing): ChangeIr {
  const before = mirroring(standing.splits)
  const after = mirroring(change.splits ?? standing.splits)
  if (before.length === 0 && after.length === 0) return change
  const removed = new Set(change.removeTargets)
  const given = new Map(change.upsertRoutes.map((route) => [route.target, route]))
  const routeOf = (target: string): RouteIr | undefined =>
    given.get(target) ?? (removed.has(target) ? undefined : standing.route(target))
  const mirrors = mirrorsByCandidate(after, routeOf)
  const concerned = new Set([...candidatesOf(before), ...candidatesOf(after)])
  const others = change.upsertRoutes.filter(({ target }) => !concerned.has(target))
  const routes = [...concerned].flatMap((target) => {
    const route = routeOf(target)
    if (route === undefined) return []
    const mirrored = toMirrored(route, mirrors.get(target) ?? [])
    return given.has(target) || !sameMirrors(mirrored, route) ? [mirrored] : []
  })
  return {
    ...change,
    upsertRoutes: [...others, ...routes],
    ...withMirrorSets(change, standing, [...mirrors.values()].flat()),
  }
}

const mirroring = (splits: readonly SplitIr[]): readonly SplitIr[] =>
  splits.filter(({ mirrors = [] }) => mirrors.length > 0)

const candidatesOf = (splits: readonly SplitIr[]): string[] =>
  splits.flatMap(({ candidates }) => candidates.map(({ target }) => target))

/** Of each candidate, by all splits that it is in. A mirror without a route gets nothing. */
function mirrorsByCandidate(
  splits: readonly SplitIr[],
  routeOf: (target: string) => RouteIr | undefined,
): ReadonlyMap<string, readonly RouteMirrorIr[]> {
  const found = new Map<string, RouteMirrorIr[]>()
  for (const { target: split, candidates, mirrors = [] } of splits) {
    const copies = mirrors.flatMap(({ target, percent }) => toCopies(split, percent, routeOf(target)))
    for (const { target } of candidates) found.set(target, [...(found.get(target) ?? []), ...copies])
  }
  return found
}

/** While the mirror itself is being rolled out, its versions share the copies as they share its requests. */
function toCopies(split: string, percent: number, route: RouteIr | undefined): RouteMirrorIr[] {
  const sum = (route?.destinations ?? []).reduce((total, { weight }) => total + weight, 0)
  return (route?.destinations ?? [])
    .filter(({ weight }) => weight > 0)
    .map(({ endpointSetId, internalName, weight }) => ({
      split,
      endpointSetId: mirrorSetId(endpointSetId),
      internalName,
      percent: (percent * weight) / sum,
    }))
}

function toMirrored({ mirrors: _before, ...route }: RouteIr, mirrors: readonly RouteMirrorIr[]): RouteIr {
  return { ...route, ...(mirrors.length === 0 ? {} : { mirrors }) }
}

const sameMirrors = (a: RouteIr, b: RouteIr): boolean => JSON.stringify(a.mirrors) === JSON.stringify(b.mirrors)

/** The sets that copies go to: made with the first route that names them, changed with the set beside them, gone with the last one. */
function withMirrorSets(
  change: ChangeIr,
  { sets }: Standing,
  mirrors: readonly RouteMirrorIr[],
): Pick<ChangeIr, 'upsertEndpointSets' | 'removeEndpointSetIds'> {
  const given = new Map(change.upsertEndpointSets.map((set) => [set.id, set]))
  const wanted = new Set(mirrors.map(({ endpointSetId }) => endpointSetId))
  const beside = [...new Map([...sets, ...given]).values()].filter(
    (set) => set.isMirror !== true && wanted.has(mirrorSetId(set.id)),
  )
  const made = beside
    .filter(({ id }) => given.has(id) || !sets.has(mirrorSetId(id)))
    .map((set) => ({ ...set, id: mirrorSetId(set.id), isMirror: true }))
  const left = [...sets.values()].filter(({ id, isMirror }) => isMirror === true && !wanted.has(id))
  return {
    upsertEndpointSets: [...change.upsertEndpointSets, ...made],
    removeEndpointSetIds: [...change.removeEndpointSetIds, ...left.map(({ id }) => id)],
  }
}
