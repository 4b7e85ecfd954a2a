/**
 * The state while one event is worked in: a copy of what is touched, and the effects so far. The state that the event came to
 * stays as it was.
 */
import type { Plan, PlanNode } from '../plan/plan.ts'
import { copyNode, type NodeState, type State, type Timer } from './state.ts'
import type { Effect, Visit } from './types.ts'
import { visitKey } from './visit.ts'

const MAX_LOSSES = 5

export interface Draft {
  readonly plan: Plan
  readonly before: State
  readonly nowMs: number
  outcome: State['outcome']
  isFinished: boolean
  readonly nodes: NodeState[]
  readonly ownNodes: Set<number>
  readonly seen: ReadonlySet<string>[]
  readonly calls: Map<number, { readonly node: number; readonly visit: Visit }>
  readonly timers: Map<number, Timer>
  lastId: number
  readonly losses: string[]
  readonly effects: Effect[]
}

export const toDraft = (plan: Plan, before: State, nowMs: number): Draft => ({
  plan,
  before,
  nowMs,
  outcome: before.outcome,
  isFinished: before.isFinished,
  nodes: [...before.nodes],
  ownNodes: new Set(),
  seen: [...before.seen],
  calls: new Map(before.calls),
  timers: new Map(before.timers),
  lastId: before.lastId,
  losses: [...before.losses],
  effects: [],
})

export function toState({ before, outcome, isFinished, nodes, seen, calls, timers, lastId, losses }: Draft): State {
  const { isOpen, startMs, deadlineMs } = before
  return { isOpen, startMs, deadlineMs, outcome, isFinished, nodes, seen, calls, timers, lastId, losses }
}

/** A node's plan, and its state as the draft's own. */
export function ownNode(draft: Draft, index: number): { readonly plan: PlanNode; readonly state: NodeState } {
  const [plan, state] = [draft.plan.nodes[index], draft.nodes[index]]
  if (plan === undefined || state === undefined) throw new RangeError(`the plan has no node ${String(index)}`)
  if (draft.ownNodes.has(index)) return { plan, state }
  const copy = copyNode(state)
  draft.nodes[index] = copy
  draft.ownNodes.add(index)
  return { plan, state: copy }
}

/** @returns false when data has appeared on the edge in this visit before */
export function markSeen(draft: Draft, edge: number, visit: Visit): boolean {
  const [key, seen] = [visitKey(visit), draft.seen[edge]]
  if (seen === undefined || seen.has(key)) return false
  draft.seen[edge] = new Set([...seen, key])
  return true
}

export const hasSeen = (draft: Draft, edge: number, visit: Visit): boolean =>
  draft.seen[edge]?.has(visitKey(visit)) === true

export function setTimer(draft: Draft, id: number, atMs: number, timer: Timer): void {
  draft.timers.set(id, timer)
  draft.effects.push({ kind: 'setTimer', timer: id, atMs })
}

export function noteLoss(draft: Draft, text: string): void {
  if (draft.losses.length < MAX_LOSSES && !draft.losses.includes(text)) draft.losses.push(text)
}
