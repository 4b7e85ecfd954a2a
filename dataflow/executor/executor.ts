/**
 * One request through one plan, as a state machine: no I/O, no clock. `start` begins it; `advance` and `proceed` take what
 * happened and say what to do. Rules: docs/pipelines-semantics.md.
 *
 * `advance` is pure: the state given in stays as it was. `proceed` writes to it, which is what a runner wants, who owns it: an
 * event then costs what the edges cost that its data flows over.
 */
import type { Plan } from '../plan/plan.ts'
import {
  type Draft,
  dropCall,
  findCall,
  hasSeen,
  markSeen,
  newDraft,
  nodePlan,
  nodeState,
  noteLoss,
  toDraft,
} from './draft.ts'
import { cancelRequest, endAtDeadline, endRequest, fail, settle } from './end.ts'
import { flow, flowReady, flowVoid, noteTooFar, recordEdge } from './flow.ts'
import { endWindow, expire } from './group.ts'
import { toPayload, toResponse } from './payload.ts'
import { DEADLINE_TIMER, type State } from './state.ts'
import type { Effect, ExecutorEvent, StartOptions, Visit } from './types.ts'
import { firstVisit, visitKey, withVisit } from './visit.ts'

export interface Run {
  readonly state: Draft
  /** To be carried out in this order. */
  readonly effects: readonly Effect[]
}

export function start(plan: Plan, { input, nowMs, deadlineMs, isOpen = false }: StartOptions): Run {
  const draft = newDraft(plan, isOpen, { startMs: nowMs, deadlineMs })
  draft.effects.push({ kind: 'setTimer', timer: DEADLINE_TIMER, atMs: deadlineMs })
  if (input !== undefined) {
    const message = { kind: 'request', request: input } as const
    const visit = firstVisit(plan.loops)
    markSeen(draft, plan.inputEdge, visit)
    recordEdge(draft, plan.inputEdge, visit, message)
    flow(draft, plan.inputEdge, visit, message)
  }
  return { state: draft, effects: end(draft) }
}

/** Events that come late, twice, or for what is unknown change nothing. */
export function advance(plan: Plan, state: State, event: ExecutorEvent): Run {
  const draft = toDraft(plan, state)
  return { state: draft, effects: proceed(draft, event) }
}

/** What `advance` does, to the state itself. */
export function proceed(draft: Draft, event: ExecutorEvent): readonly Effect[] {
  if (draft.isFinished) return []
  draft.nowMs = event.nowMs
  draft.outcomeBefore = draft.outcome
  switch (event.kind) {
    case 'arrived':
      arrive(draft, event)
      break
    case 'answered':
      takeAnswer(draft, event)
      break
    case 'failed': {
      const call = findCall(draft, event.call)
      if (call !== undefined) takeFailure(draft, call.node, call.visit, event.cause)
      break
    }
    case 'arrivedFailure':
      takeFailure(draft, event.node, event.visit, event.cause)
      break
    case 'timer':
      fireTimer(draft, event.timer)
      break
    case 'cancelled':
      cancelRequest(draft)
  }
  return end(draft)
}

/** The effects are the caller's, and not kept. */
function end(draft: Draft): readonly Effect[] {
  settle(draft)
  const { effects } = draft
  draft.effects = []
  return effects
}

type EventOf<K extends ExecutorEvent['kind']> = Extract<ExecutorEvent, { kind: K }>

function takeAnswer(draft: Draft, { call, response }: EventOf<'answered'>): void {
  const waiting = findCall(draft, call)
  if (waiting === undefined) return
  const { answers } = nodePlan(draft, waiting.node)
  if (answers === undefined) return
  dropCall(draft, waiting)
  if (!markSeen(draft, answers, waiting.visit)) return
  const message = { kind: 'response', response } as const
  recordEdge(draft, answers, waiting.visit, message)
  flow(draft, answers, waiting.visit, message)
}

function takeFailure(draft: Draft, node: number, visit: Visit, cause: unknown): void {
  const plan = draft.plan.nodes[node]
  if (plan?.answers === undefined || !markSeen(draft, plan.answers, visit)) return
  forgetCall(draft, node, visitKey(visit))
  noteLoss(draft, `step ${plan.name} failed`)
  fail(draft, node, { kind: 'step', step: plan.name, cause })
  flow(draft, plan.answers, visit, undefined)
}

/** Data from outside stands in the place of what the executor would have put there itself. */
function arrive(draft: Draft, { edge, visit, message }: EventOf<'arrived'>): void {
  const { plan } = draft
  const producer = plan.edges[edge]?.producer
  if (plan.edges[edge] === undefined || visit.length !== plan.loops || !markSeen(draft, edge, visit)) return
  const node = producer === undefined ? undefined : plan.nodes[producer]
  if (producer !== undefined && node?.kind === 'step') {
    if (edge === node.answers) forgetCall(draft, producer, visitKey(visit))
    else {
      const state = nodeState(draft, producer)
      const key = visitKey(visit)
      if (!state.fired.includes(key)) state.fired = withVisit(state.fired, key)
      // Whoever put it there asked the model.
      if (node.answers !== undefined && !hasSeen(draft, node.answers, visit))
        draft.calls.push({ id: (draft.lastId += 1), node: producer, visit })
    }
  }
  if (node?.kind === 'output' && draft.outcome === 'running')
    endRequest(draft, 'answered', { kind: 'answer', response: toResponse(toPayload(message)).response })
  flow(draft, edge, visit, message)
}

function forgetCall(draft: Draft, node: number, key: string): void {
  draft.calls = draft.calls.filter((call) => call.node !== node || visitKey(call.visit) !== key)
}

function fireTimer(draft: Draft, id: number): void {
  const timer = draft.timers.find((one) => one.id === id)
  if (timer === undefined) return
  draft.timers = draft.timers.filter((one) => one !== timer)
  if (timer.kind === 'deadline') {
    endAtDeadline(draft)
    return
  }
  const plan = nodePlan(draft, timer.node)
  const groupPlan = plan[timer.group]
  const groupState = nodeState(draft, timer.node)[timer.group]
  if (groupPlan === undefined || groupState === undefined) return
  if (timer.kind === 'window') {
    flowReady(draft, timer.node, timer.group, endWindow(groupPlan, groupState, id))
    return
  }
  if (expire(groupState, timer.source, timer.visit)) return
  noteTooFar(draft, plan, groupPlan)
  flowVoid(draft, timer.node, timer.group, timer.source)
}
