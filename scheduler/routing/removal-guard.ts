/**
 * I9: what looks like a wiped or unread store must not wipe Envoy: so much does not go at once unless it is forced. (The xDS server
 * has a guard of its own, against what a node brought along.)
 */

/** More than this share of the routes is not removed at once. */
const MAX_REMOVAL_SHARE = 0.2

/** So few are always somebody's wish: with three models, deleting one is a third of all. */
const ALWAYS_REMOVABLE = 10

/** Whether removing so many of the routes that stand must be refused with REMOVAL_REFUSED. */
export function isMassRemoval(removedRoutes: number, standingRoutes: number): boolean {
  return removedRoutes > ALWAYS_REMOVABLE && removedRoutes > standingRoutes * MAX_REMOVAL_SHARE
}
