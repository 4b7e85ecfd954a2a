/** The state of one request while an event is worked in, which writes to it, and the effects so far. */
import type { Plan, PlanNode } from '../plan/plan.ts'
import { type Call, copyNode, emptyNodes, NO_LOSSES, type NodeState, ONLY_DEADLINE, type State } from './state.ts'
import { type Timer, unseenEdges } from './state.ts'
import type { Effect, Visit } from './types.ts'
import { visitKey, type VisitKeys, withVisit } from './visit.ts'

const MAX_LOSSES = 5

export interface Draft extends State {
  readonly plan: Plan
  nowMs: number
  /** Before the event. */
  outcomeBefore: State['outcome']
  outcome: State['outcome']
  isFinished: boolean
  readonly nodes: NodeState[]
  readonly seen: VisitKeys[]
  calls: Call[]
  timers: readonly Timer[]
  lastId: number
  losses: readonly string[]
  effects: Effect[]
}

export const newDraft = (
  plan: Plan,
  isOpen: boolean,
  { startMs, deadlineMs }: Pick<State, 'startMs' | 'deadlineMs'>,
): Draft => ({
  plan,
  isOpen,
  startMs,
  deadlineMs,
  nowMs: startMs,
  outcomeBefore: 'running',
  outcome: 'running',
  isFinished: false,
  nodes: emptyNodes(plan),
  seen: unseenEdges(plan),
  calls: [],
  timers: ONLY_DEADLINE,
  lastId: 0,
  losses: NO_LOSSES,
  effects: [],
})

/** One of its own: the state stays as it is whatever is done to the draft. */
export const toDraft = (plan: Plan, state: State): Draft => ({
  plan,
  isOpen: state.isOpen,
  startMs: state.startMs,
  deadlineMs: state.deadlineMs,
  nowMs: state.startMs,
  outcomeBefore: state.outcome,
  outcome: state.outcome,
  isFinished: state.isFinished,
  nodes: state.nodes.map(copyNode),
  seen: [...state.seen],
  calls: [...state.calls],
  timers: state.timers,
  lastId: state.lastId,
  losses: state.losses,
  effects: [],
})

/** Of a node that the plan has. */
export function nodePlan({ plan }: Draft, index: number): PlanNode {
  return plan.nodes[index] ?? unknownNode(index)
}
export function nodeState({ nodes }: Draft, index: number): NodeState {
  return nodes[index] ?? unknownNode(index)
}
function unknownNode(index: number): never {
  throw new RangeError(`the plan has no node ${String(index)}`)
}

/** @returns false when data has appeared on the edge in this visit before */
export function markSeen(draft: Draft, edge: number, visit: Visit): boolean {
  const seen = draft.seen[edge]
  const key = visitKey(visit)
  if (seen === undefined || seen.includes(key)) return false
  draft.seen[edge] = withVisit(seen, key)
  return true
}

export const hasSeen = ({ seen }: Draft, edge: number, visit: Visit): boolean =>
  seen[edge]?.includes(visitKey(visit)) === true

export function findCall({ calls }: Draft, id: number): Call | undefined {
  for (const call of calls) if (call.id === id) return call
  return undefined
}

export function dropCall({ calls }: Draft, call: Call): void {
  const place = calls.indexOf(call)
  if (place >= 0) calls.splice(place, 1)
}

export function setTimer(draft: Draft, atMs: number, timer: Timer): void {
  draft.timers = [...draft.timers, timer]
  draft.effects.push({ kind: 'setTimer', timer: timer.id, atMs })
}

export function noteLoss(draft: Draft, text: string): void {
  if (draft.losses.length < MAX_LOSSES && !draft.losses.includes(text)) draft.losses = [...draft.losses, text]
}
