/**
 * One group of sources of one node, the data or the triggers, in one request: who has arrived, and when that is enough.
 * Writes to the group's state, which is the caller's own, but not to its lists: those are replaced, as most requests share the
 * empty ones.
 *
 * - inner: all, each within the window of the others when there is one.
 * - outer: all, or at the window's end what is there; the window opens with the first.
 * - any: the first; in the same turn of the loops every other one comes too late.
 */
import type { Group } from '../plan/plan.ts'
import type { Payload } from './payload.ts'
import type { Visit } from './types.ts'
import { areTogether, mergeVisits, visitKey } from './visit.ts'

export interface GroupState {
  /**
   * For each source, without those that have been joined and are not needed again; nothing where one source alone makes the
   * group, which is joined as it comes.
   */
  arrivals: readonly (readonly Arrival[])[]
  /** For each source: nothing will come of it. Only known without loops. */
  isVoid: readonly boolean[]
  /** Of an outer join: open windows. */
  windows: readonly Window[]
  /** What has been given already. */
  settled: readonly Visit[]
}
export interface Arrival {
  readonly visit: Visit
  readonly atMs: number
  readonly payload: Payload
}
interface Window {
  readonly id: number
  readonly visit: Visit
  readonly members: readonly (Payload | undefined)[]
}

/** What is complete. */
export interface Ready {
  readonly visit: Visit
  readonly payloads: readonly Payload[]
}

/** What came of an arrival. */
export interface Offered {
  readonly ready: readonly Ready[]
  /** End of this window to be told to `endWindow`, or of this arrival's to `expire`. */
  readonly opened: { readonly id: number; readonly afterMs: number } | undefined
  /** Every source has come, but not within the window. */
  readonly isTooFar: boolean
}

const EMPTY: readonly never[] = []
/** By how many sources there are. */
const NO_ARRIVALS: (readonly (readonly Arrival[])[])[] = []
const NO_VOIDS: (readonly boolean[])[] = []

export function emptyGroup({ sources: { length } }: Group): GroupState {
  const arrivals = (NO_ARRIVALS[length] ??= Array.from({ length }, () => EMPTY))
  const isVoid = (NO_VOIDS[length] ??= Array.from({ length }, () => false))
  return { arrivals, isVoid, windows: EMPTY, settled: EMPTY }
}

export const copyGroup = ({ arrivals, isVoid, windows, settled }: GroupState): GroupState => ({
  arrivals,
  isVoid,
  windows,
  settled,
})

const LATE: Offered = { ready: [], opened: undefined, isTooFar: false }
export const DEFAULT_WINDOW_MS = 60_000

/** @param id for a window, should one open; @param leftMs the longest that an outer window may be open from now */
export function offer(
  group: Group,
  state: GroupState,
  source: number,
  arrival: Arrival,
  { id, leftMs }: { readonly id: number; readonly leftMs: number },
): Offered {
  const { join, sources } = group
  if (join === 'inner' && sources.length === 1) return offerOnly(state, arrival)
  if (hasCome(state, source, arrival.visit)) return LATE
  switch (join) {
    case 'inner':
      keep(state, source, arrival)
      // Without loops each source comes once, so what is there is what is joined.
      return arrival.visit.length === 0 && group.windowMs === undefined
        ? offerOnce(group, state)
        : offerInner(group, state, source, arrival, id)
    case 'outer':
      keep(state, source, arrival)
      return offerOuter(group, state, source, arrival, { id, leftMs })
    case 'any': {
      if (isSettled(state, arrival.visit)) return LATE
      settle(state, arrival.visit)
      return { ready: [{ visit: arrival.visit, payloads: [arrival.payload] }], opened: undefined, isTooFar: false }
    }
  }
}

function hasCome(state: GroupState, source: number, visit: Visit): boolean {
  const own = state.arrivals[source]
  if (own === undefined) return true
  const key = visitKey(visit)
  for (const before of own) if (visitKey(before.visit) === key) return true
  return false
}

function keep(state: GroupState, source: number, arrival: Arrival): void {
  const arrivals = [...state.arrivals]
  arrivals[source] = [...(arrivals[source] ?? EMPTY), arrival]
  state.arrivals = arrivals
}

function settle(state: GroupState, visit: Visit): void {
  state.settled = [...state.settled, visit]
}

function offerOnly(state: GroupState, { visit, payload }: Arrival): Offered {
  if (isGiven(state, visit)) return LATE
  settle(state, visit)
  return { ready: [{ visit, payloads: [payload] }], opened: undefined, isTooFar: false }
}

function offerOnce(group: Group, state: GroupState): Offered {
  const chosen: Arrival[] = []
  for (const list of state.arrivals) {
    const arrival = list[0]
    if (arrival === undefined) return LATE
    chosen.push(arrival)
  }
  return { ready: joinInner(group, state, chosen), opened: undefined, isTooFar: false }
}

function offerInner(group: Group, state: GroupState, source: number, arrival: Arrival, id: number): Offered {
  const { sources, windowMs } = group
  let found: (readonly Arrival[])[] = [[]]
  for (const index of sources.keys()) {
    const candidates = index === source ? [arrival] : (state.arrivals[index] ?? [])
    found = found.flatMap((chosen) =>
      candidates
        .filter((other) => chosen.every((one) => canJoin(one, other, windowMs)))
        .map((other) => [...chosen, other]),
    )
  }
  const ready = found.flatMap((chosen) => joinInner(group, state, chosen))
  const waits = ready.length === 0 && windowMs !== undefined && sources.length > 1
  const isTooFar = waits && state.arrivals.every((list) => list.length > 0)
  return { ready, opened: waits ? { id, afterMs: windowMs + 1 } : undefined, isTooFar }
}

const canJoin = (a: Arrival, b: Arrival, windowMs = Infinity): boolean =>
  areTogether(a.visit, b.visit) && Math.abs(a.atMs - b.atMs) <= windowMs

function joinInner(group: Group, state: GroupState, chosen: readonly Arrival[]): readonly Ready[] {
  const visit = chosen.map((arrival) => arrival.visit).reduce(mergeVisits)
  if (isGiven(state, visit)) return []
  settle(state, visit)
  forget(group, state, (other, index) => other === chosen[index])
  return [{ visit, payloads: chosen.map(({ payload }) => payload) }]
}

function offerOuter(
  group: Group,
  state: GroupState,
  source: number,
  arrival: Arrival,
  { id, leftMs }: { readonly id: number; readonly leftMs: number },
): Offered {
  const joined: Window[] = []
  state.windows = state.windows.map((window) => {
    if (window.members[source] !== undefined || !areTogether(window.visit, arrival.visit)) return window
    const { id: open, visit, members } = window
    const taken = { id: open, visit: mergeVisits(visit, arrival.visit), members: members.with(source, arrival.payload) }
    joined.push(taken)
    return taken
  })
  const full = joined.filter(isFull)
  if (joined.length > 0)
    return { ready: full.flatMap((window) => closeWindow(group, state, window)), opened: undefined, isTooFar: false }
  if (isSettled(state, arrival.visit)) return LATE
  let visit = arrival.visit
  const members = state.arrivals.map((list, index) => {
    const member = index === source ? arrival : list.find((other) => canJoin(arrival, other))
    if (member !== undefined) visit = mergeVisits(visit, member.visit)
    return member?.payload
  })
  const window: Window = { id, visit, members }
  state.windows = [...state.windows, window]
  if (isFull(window)) return { ready: closeWindow(group, state, window), opened: undefined, isTooFar: false }
  return { ready: [], opened: { id, afterMs: outerWindowMs(group, leftMs) }, isTooFar: false }
}

/** A window that would not end before the deadline leaves half of the time to what comes after. */
function outerWindowMs({ windowMs = DEFAULT_WINDOW_MS }: Group, leftMs: number): number {
  return windowMs < leftMs ? windowMs : Math.floor(leftMs / 2)
}

/** An outer window ended: what is there. */
export function endWindow(group: Group, state: GroupState, id: number): readonly Ready[] {
  const window = state.windows.find((open) => open.id === id)
  return window === undefined ? [] : closeWindow(group, state, window)
}

function closeWindow(group: Group, state: GroupState, window: Window): readonly Ready[] {
  state.windows = state.windows.filter((open) => open !== window)
  settle(state, window.visit)
  forget(group, state, (arrival) => areTogether(arrival.visit, window.visit))
  return [{ visit: window.visit, payloads: window.members.filter((member) => member !== undefined) }]
}

/** An inner arrival's window ended: it is forgotten unless it was joined. @returns whether it was */
export function expire(state: GroupState, source: number, visit: Visit): boolean {
  const list = state.arrivals[source] ?? []
  const index = list.findIndex((arrival) => visitKey(arrival.visit) === visitKey(visit))
  if (index < 0 || isSettled(state, visit)) return true
  state.arrivals = state.arrivals.with(source, list.toSpliced(index, 1))
  return false
}

/** Whether nothing can come of the group, now that nothing comes of a source. */
export function giveUp(group: Group, state: GroupState, source: number): boolean {
  state.isVoid = state.isVoid.with(source, true)
  return group.join === 'inner' || state.isVoid.every(Boolean)
}

/** What a source has given to a join is only kept when it can be joined again. */
function forget({ sources }: Group, state: GroupState, isJoined: (arrival: Arrival, source: number) => boolean): void {
  state.arrivals = state.arrivals.map((list, index) =>
    sources[index]?.isSpent === true && list.length > 0 ? list.filter((arrival) => !isJoined(arrival, index)) : list,
  )
}

const isFull = ({ members }: Window): boolean => members.every((member) => member !== undefined)
const isSettled = ({ settled }: GroupState, visit: Visit): boolean =>
  settled.some((before) => areTogether(before, visit))
/** Of exactly this visit. */
function isGiven({ settled }: GroupState, visit: Visit): boolean {
  if (settled.length === 0) return false
  const key = visitKey(visit)
  return settled.some((before) => visitKey(before) === key)
}
