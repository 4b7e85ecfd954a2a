/**
 * One request through one plan, as a pure state machine: no I/O, no clock. `start` begins it, `advance` takes what happened
 * and says what to do; the state given in stays as it was. Rules: docs/pipelines-semantics.md.
 *
 * An event costs what the edges cost that its data flows over (and one list of references, one for each node and edge).
 */
import type { Plan } from '../plan/plan.ts'
import { type Draft, hasSeen, markSeen, noteLoss, ownNode, toDraft, toState } from './draft.ts'
import { cancelRequest, endAtDeadline, endRequest, fail, settle } from './end.ts'
import { flow, flowReady, flowVoid, noteTooFar, recordEdge } from './flow.ts'
import { endWindow, expire } from './group.ts'
import { toPayload, toResponse } from './payload.ts'
import { DEADLINE_TIMER, emptyState, type State } from './state.ts'
import type { Effect, ExecutorEvent, StartOptions, Visit } from './types.ts'
import { firstVisit, visitKey } from './visit.ts'

export interface Run {
  readonly state: State
  /** To be carried out in this order. */
  readonly effects: readonly Effect[]
}

export function start(plan: Plan, { input, nowMs, deadlineMs, isOpen = false }: StartOptions): Run {
  const draft = toDraft(plan, emptyState(plan, { isOpen, startMs: nowMs, deadlineMs }), nowMs)
  draft.effects.push({ kind: 'setTimer', timer: DEADLINE_TIMER, atMs: deadlineMs })
  if (input !== undefined) {
    const message = { kind: 'request', request: input } as const
    const visit = firstVisit(plan.loops)
    markSeen(draft, plan.inputEdge, visit)
    recordEdge(draft, plan.inputEdge, visit, message)
    flow(draft, plan.inputEdge, visit, message)
  }
  return end(draft)
}

/** Events that come late, twice, or for what is unknown change nothing. */
export function advance(plan: Plan, state: State, event: ExecutorEvent): Run {
  if (state.isFinished) return { state, effects: [] }
  const draft = toDraft(plan, state, event.nowMs)
  switch (event.kind) {
    case 'arrived':
      arrive(draft, event)
      break
    case 'answered':
      takeAnswer(draft, event)
      break
    case 'failed': {
      const call = draft.calls.get(event.call)
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

function end(draft: Draft): Run {
  settle(draft)
  return { state: toState(draft), effects: draft.effects }
}

type EventOf<K extends ExecutorEvent['kind']> = Extract<ExecutorEvent, { kind: K }>

function takeAnswer(draft: Draft, { call, response }: EventOf<'answered'>): void {
  const waiting = draft.calls.get(call)
  const answers = draft.plan.nodes[waiting?.node ?? -1]?.answers
  if (waiting === undefined || answers === undefined) return
  draft.calls.delete(call)
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
      ownNode(draft, producer).state.fired.add(visitKey(visit))
      // Whoever put it there asked the model.
      if (node.answers !== undefined && !hasSeen(draft, node.answers, visit))
        draft.calls.set((draft.lastId += 1), { node: producer, visit })
    }
  }
  if (node?.kind === 'output' && draft.outcome === 'running')
    endRequest(draft, 'answered', { kind: 'answer', response: toResponse(toPayload(message)).response })
  flow(draft, edge, visit, message)
}

function forgetCall(draft: Draft, node: number, key: string): void {
  for (const [id, call] of draft.calls) if (call.node === node && visitKey(call.visit) === key) draft.calls.delete(id)
}

function fireTimer(draft: Draft, id: number): void {
  const timer = draft.timers.get(id)
  if (timer === undefined) return
  draft.timers.delete(id)
  if (timer.kind === 'deadline') {
    endAtDeadline(draft)
    return
  }
  const { plan, state } = ownNode(draft, timer.node)
  const [groupPlan, groupState] = [plan[timer.group], state[timer.group]]
  if (groupPlan === undefined || groupState === undefined) return
  if (timer.kind === 'window') {
    flowReady(draft, timer.node, timer.group, endWindow(groupPlan, groupState, id))
    return
  }
  if (expire(groupState, timer.source, timer.visit)) return
  noteTooFar(draft, plan, groupPlan)
  flowVoid(draft, timer.node, timer.group, timer.source)
}
