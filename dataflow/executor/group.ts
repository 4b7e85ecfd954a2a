/**
 * One group of sources of one node, the data or the triggers, in one request: who has arrived, and when that is enough.
 * Works on a draft of the group's state, which is the caller's own.
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
  /** For each source, without those that have been joined and are not needed again. */
  readonly arrivals: Arrival[][]
  /** For each source: nothing will come of it. Only known without loops. */
  readonly isVoid: boolean[]
  /** Of an outer join: open windows. */
  readonly windows: Window[]
  /** What has been given already. */
  readonly settled: Visit[]
}
export interface Arrival {
  readonly visit: Visit
  readonly atMs: number
  readonly payload: Payload
}
interface Window {
  readonly id: number
  visit: Visit
  readonly members: (Payload | undefined)[]
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

export const emptyGroup = ({ sources }: Group): GroupState => ({
  arrivals: sources.map(() => []),
  isVoid: sources.map(() => false),
  windows: [],
  settled: [],
})

export const copyGroup = ({ arrivals, isVoid, windows, settled }: GroupState): GroupState => ({
  arrivals: arrivals.map((list) => [...list]),
  isVoid: [...isVoid],
  windows: windows.map((window) => ({ ...window, members: [...window.members] })),
  settled: [...settled],
})

const LATE: Offered = { ready: [], opened: undefined, isTooFar: false }
export const DEFAULT_WINDOW_MS = 60_000

/** @param id for a window, should one open; @param untilMs the longest that an outer window may be open from now */
export function offer(
  group: Group,
  state: GroupState,
  source: number,
  arrival: Arrival,
  { id, leftMs }: { readonly id: number; readonly leftMs: number },
): Offered {
  const own = state.arrivals[source]
  if (own === undefined || own.some(({ visit }) => visitKey(visit) === visitKey(arrival.visit))) return LATE
  switch (group.join) {
    case 'inner':
      own.push(arrival)
      return offerInner(group, state, source, arrival, id)
    case 'outer':
      own.push(arrival)
      return offerOuter(group, state, source, arrival, { id, leftMs })
    case 'any': {
      if (isSettled(state, arrival.visit)) return LATE
      state.settled.push(arrival.visit)
      return { ready: [{ visit: arrival.visit, payloads: [arrival.payload] }], opened: undefined, isTooFar: false }
    }
  }
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
  if (state.settled.some((before) => visitKey(before) === visitKey(visit))) return []
  state.settled.push(visit)
  for (const [index, arrival] of chosen.entries()) forget(group, state, index, (other) => other === arrival)
  return [{ visit, payloads: chosen.map(({ payload }) => payload) }]
}

function offerOuter(
  group: Group,
  state: GroupState,
  source: number,
  arrival: Arrival,
  { id, leftMs }: { readonly id: number; readonly leftMs: number },
): Offered {
  const joined = state.windows.filter(
    ({ visit, members }) => members[source] === undefined && areTogether(visit, arrival.visit),
  )
  for (const window of joined) {
    window.members[source] = arrival.payload
    window.visit = mergeVisits(window.visit, arrival.visit)
  }
  const full = joined.filter(isFull)
  if (joined.length > 0)
    return { ready: full.flatMap((window) => closeWindow(group, state, window)), opened: undefined, isTooFar: false }
  if (isSettled(state, arrival.visit)) return LATE
  const window: Window = { id, visit: arrival.visit, members: group.sources.map(() => undefined) }
  for (const [index, list] of state.arrivals.entries()) {
    const member = index === source ? arrival : list.find((other) => canJoin(arrival, other))
    window.members[index] = member?.payload
    if (member !== undefined) window.visit = mergeVisits(window.visit, member.visit)
  }
  state.windows.push(window)
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
  state.windows.splice(state.windows.indexOf(window), 1)
  state.settled.push(window.visit)
  for (const index of group.sources.keys())
    forget(group, state, index, (arrival) => areTogether(arrival.visit, window.visit))
  return [{ visit: window.visit, payloads: window.members.filter((member) => member !== undefined) }]
}

/** An inner arrival's window ended: it is forgotten unless it was joined. @returns whether it was */
export function expire(state: GroupState, source: number, visit: Visit): boolean {
  const list = state.arrivals[source] ?? []
  const index = list.findIndex((arrival) => visitKey(arrival.visit) === visitKey(visit))
  if (index < 0 || isSettled(state, visit)) return true
  list.splice(index, 1)
  return false
}

/** Whether nothing can come of the group, now that nothing comes of a source. */
export function giveUp(group: Group, state: GroupState, source: number): boolean {
  state.isVoid[source] = true
  return group.join === 'inner' || state.isVoid.every(Boolean)
}

/** What a source has given to a join is only kept when it can be joined again. */
function forget({ sources }: Group, state: GroupState, source: number, isJoined: (arrival: Arrival) => boolean): void {
  if (sources[source]?.isSpent !== true) return
  state.arrivals[source] = (state.arrivals[source] ?? []).filter((arrival) => !isJoined(arrival))
}

const isFull = ({ members }: Window): boolean => members.every((member) => member !== undefined)
const isSettled = ({ settled }: GroupState, visit: Visit): boolean =>
  settled.some((before) => areTogether(before, visit))
