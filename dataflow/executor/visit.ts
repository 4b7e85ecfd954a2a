/** Turns of loops: what belongs together, and how counts change on the way into a node. Pure. */
import type { Source } from '../plan/plan.ts'
import type { Visit } from './types.ts'

const OUTSIDE = -1

export const firstVisit = (loops: number): Visit => Array.from({ length: loops }, () => OUTSIDE)

/** The same turn of every loop that both are in. */
export const areTogether = (a: Visit, b: Visit): boolean =>
  a.every((turn, loop) => turn === OUTSIDE || b[loop] === OUTSIDE || turn === b[loop])

/** Of two that are together: in every loop that one of them is in. */
export const mergeVisits = (a: Visit, b: Visit): Visit =>
  a === b || a.length === 0 ? a : a.map((turn, loop) => Math.max(turn, b[loop] ?? OUTSIDE))

export const visitKey = (visit: Visit): string => visit.join('.')

/** As what arrives from a source counts at the node. */
export function arrivingVisit({ turns, enters }: Source, visit: Visit): Visit {
  if (turns === undefined && enters.length === 0) return visit
  return visit.map((turn, loop) => {
    if (turns?.loop === loop) return turn + 1 + (turn === OUTSIDE ? 1 : 0)
    if (turns?.inner.includes(loop) === true) return OUTSIDE
    return turn === OUTSIDE && enters.includes(loop) ? 0 : turn
  })
}
