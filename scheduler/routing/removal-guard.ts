/**
 * I9: what looks like a wiped or unread store must not wipe Envoy. The runtime asks before it publishes a change.
 */
import type { ChangeIr } from '../../xds/index.ts'

/** More than this share of the routes is not removed at once without force. */
export const MAX_REMOVAL_SHARE = 0.2

/** So few are always somebody's wish: with three models, deleting one is a third of all. */
export const ALWAYS_REMOVABLE = 10

/** Share of the standing routes (before the change) that it removes: 0 to 1. */
export function removalShare(change: ChangeIr, standingRoutes: number): number {
  return standingRoutes === 0 ? 0 : change.removeTargets.length / standingRoutes
}

/** Whether the change must be refused with REMOVAL_REFUSED unless it is forced. */
export function isMassRemoval(change: ChangeIr, standingRoutes: number): boolean {
  return change.removeTargets.length > ALWAYS_REMOVABLE && removalShare(change, standingRoutes) > MAX_REMOVAL_SHARE
}
