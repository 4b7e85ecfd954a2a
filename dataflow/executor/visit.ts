/** Turns of loops: what belongs together, and how counts change on the way into a node. Pure. */
import type { Source } from '../plan/plan.ts'
import type { Visit } from './types.ts'

const OUTSIDE = -1

/** The only visit where there are no loops: one for all requests, with an empty key. */
export const ONLY_VISIT: Visit = []

/** Keys of visits, each once; replaced, never written to, so that all requests share those that plans without loops need. */
export type VisitKeys = readonly string[]
export const NO_VISITS: VisitKeys = []
const THE_ONLY_VISIT: VisitKeys = ['']

/** @param key of none of them */
export const withVisit = (keys: VisitKeys, key: string): VisitKeys => (key === '' ? THE_ONLY_VISIT : [...keys, key])

export const firstVisit = (loops: number): Visit =>
  loops === 0 ? ONLY_VISIT : Array.from({ length: loops }, () => OUTSIDE)

/** The same turn of every loop that both are in. */
export const areTogether = (a: Visit, b: Visit): boolean =>
  a.every((turn, loop) => turn === OUTSIDE || b[loop] === OUTSIDE || turn === b[loop])

/** Of two that are together: in every loop that one of them is in. */
export const mergeVisits = (a: Visit, b: Visit): Visit =>
  a === b || a.length === 0 ? a : a.map((turn, loop) => Math.max(turn, b[loop] ?? OUTSIDE))

export const visitKey = (visit: Visit): string => (visit.length === 0 ? '' : visit.join('.'))

/** As what arrives from a source counts at the node. */
export function arrivingVisit({ turns, enters }: Source, visit: Visit): Visit {
  if (turns === undefined && enters.length === 0) return visit
  return visit.map((turn, loop) => {
    if (turns?.loop === loop) return turn + 1 + (turn === OUTSIDE ? 1 : 0)
    if (turns?.inner.includes(loop) === true) return OUTSIDE
    return turn === OUTSIDE && enters.includes(loop) ? 0 : turn
  })
}
