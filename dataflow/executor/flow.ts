/**
 * How data flows through a plan: onto an edge, into the groups of its consumers, and through the nodes that are complete.
 * Without loops the opposite flows too: that nothing will ever come (a *void*), so that a request which cannot be answered
 * any more fails at once. In an open world nothing is known never to come, so voids do not flow.
 */
import type { Consumer, Group, PlanNode, Source } from '../plan/plan.ts'
import { type Draft, hasSeen, markSeen, nodePlan, nodeState, noteLoss, setTimer } from './draft.ts'
import { endRequest, fail } from './end.ts'
import { nameOf } from './needed.ts'
import { giveUp, offer, type Ready } from './group.ts'
import { joinPayloads, type Payload, select, toPayload, toRequest, toResponse } from './payload.ts'
import type { NodeState } from './state.ts'
import type { EdgeMessage, Visit } from './types.ts'
import { areTogether, arrivingVisit, mergeVisits, ONLY_VISIT, visitKey, withVisit } from './visit.ts'

type GroupName = 'data' | 'triggers'
/** Something on an edge; no payload: nothing will come over it. */
interface Flow {
  readonly edge: number
  readonly visit: Visit
  readonly payload: Payload | undefined
}

/** Data appeared on an edge, in a visit that it had not been seen in. */
export function flow(draft: Draft, edge: number, visit: Visit, message: EdgeMessage | undefined): void {
  run(draft, [{ edge, visit, payload: message === undefined ? undefined : toPayload(message) }])
}

/** What a window's end made complete. */
export function flowReady(draft: Draft, node: number, group: GroupName, ready: readonly Ready[]): void {
  const next: Flow[] = []
  takeReady(draft, node, group, ready, next)
  run(draft, next)
}

/** Nothing will come of a source of a node. */
export function flowVoid(draft: Draft, node: number, group: GroupName, source: number): void {
  const next: Flow[] = []
  takeVoid(draft, node, group, source, next)
  run(draft, next)
}

/** A queue instead of recursion, because plans may be long. */
function run(draft: Draft, queue: Flow[]): void {
  for (let at = 0; at < queue.length; at += 1) {
    const one = queue[at]
    if (one !== undefined) flowOn(draft, one, queue)
  }
}

function flowOn(draft: Draft, { edge, visit, payload }: Flow, next: Flow[]): void {
  for (const { node, group, source } of consumersOf(draft, edge)) {
    const from = nodePlan(draft, node)[group]?.sources[source]
    if (from === undefined) continue
    const taken = payload === undefined ? undefined : select(from, payload)
    if (taken === undefined) {
      if (payload !== undefined) noteLoss(draft, lossOf(draft, node, from))
      takeVoid(draft, node, group, source, next)
    } else if (payload !== undefined && !lacksTrigger(draft, node, edge, payload))
      takeData(draft, node, group, source, visit, taken, next)
  }
}

const NOBODY: readonly Consumer[] = []
const consumersOf = ({ plan }: Draft, edge: number): readonly Consumer[] => plan.edges[edge]?.consumers ?? NOBODY

/** Data and triggers on one edge belong to one record: what lacks a trigger that all need is not kept for another turn. */
function lacksTrigger(draft: Draft, node: number, edge: number, payload: Payload): boolean {
  const { triggers } = nodePlan(draft, node)
  if (triggers?.join !== 'inner') return false
  return consumersOf(draft, edge).some((other) => {
    if (other.node !== node || other.group !== 'triggers') return false
    const from = triggers.sources[other.source]
    return from === undefined || select(from, payload) === undefined
  })
}

function takeData(
  draft: Draft,
  node: number,
  group: GroupName,
  source: number,
  onEdge: Visit,
  payload: Payload,
  next: Flow[],
): void {
  const plan = nodePlan(draft, node)
  const groupPlan = plan[group]
  const groupState = nodeState(draft, node)[group]
  const from = groupPlan?.sources[source]
  if (groupPlan === undefined || groupState === undefined || from === undefined) return
  const visit = arrivingVisit(from, onEdge)
  const id = draft.lastId + 1
  const leftMs = draft.deadlineMs - draft.nowMs
  const { ready, opened, isTooFar } = offer(
    groupPlan,
    groupState,
    source,
    { visit, atMs: draft.nowMs, payload },
    { id, leftMs },
  )
  if (isTooFar) noteTooFar(draft, plan, groupPlan)
  if (opened !== undefined) {
    draft.lastId = id
    const isOuter = groupPlan.join === 'outer'
    const atMs = draft.nowMs + opened.afterMs
    setTimer(
      draft,
      atMs,
      isOuter ? { id, kind: 'window', node, group } : { id, kind: 'arrival', node, group, source, visit },
    )
  }
  takeReady(draft, node, group, ready, next)
}

function takeReady(draft: Draft, node: number, group: GroupName, ready: readonly Ready[], next: Flow[]): void {
  if (ready.length === 0) return
  const plan = nodePlan(draft, node)
  if (plan.triggers === undefined) {
    for (const one of ready) fire(draft, node, one.visit, one.payloads, next)
    return
  }
  for (const one of ready) meet(draft, node, group, one, next)
  prune(plan, nodeState(draft, node))
}

/** Data meets triggers: every pair of the same turns runs the node once. */
function meet(draft: Draft, node: number, group: GroupName, one: Ready, next: Flow[]): void {
  const state = nodeState(draft, node)
  // Of triggers only their visit counts: their tensors are not kept.
  if (group === 'data') state.waitingData = [...state.waitingData, one]
  else state.waitingTriggers = [...state.waitingTriggers, { visit: one.visit, payloads: [] }]
  const others = group === 'data' ? state.waitingTriggers : state.waitingData
  for (const other of others) {
    if (!areTogether(one.visit, other.visit)) continue
    fire(draft, node, mergeVisits(one.visit, other.visit), (group === 'data' ? one : other).payloads, next)
  }
}

/** What has met and cannot meet again is forgotten. */
function prune(plan: PlanNode, state: NodeState): void {
  if (!plan.isSpent) return
  const waits = ({ visit }: Ready): boolean => !state.fired.includes(visitKey(visit))
  state.waitingData = state.waitingData.filter(waits)
  state.waitingTriggers = state.waitingTriggers.filter(waits)
}

function fire(draft: Draft, node: number, visit: Visit, payloads: readonly Payload[], next: Flow[]): void {
  const plan = nodePlan(draft, node)
  const state = nodeState(draft, node)
  const key = visitKey(visit)
  if (payloads.length === 0 || state.fired.includes(key)) return
  // What one event makes possible happens, in whatever order; only then does an answer end the request.
  const isOver = draft.outcomeBefore !== 'running' || draft.outcome === 'failed'
  if (isOver && !plan.feedsSide) return
  const payload = joinPayloads(payloads)
  switch (plan.kind) {
    case 'output':
      if (draft.outcome !== 'running') return
      state.fired = withVisit(state.fired, key)
      answer(draft, plan, visit, payload)
      return
    case 'input':
      state.fired = withVisit(state.fired, key)
      putOnEdge(draft, plan.into, visit, toRequest(payload), next)
      return
    case 'step':
      runStep(draft, node, visit, payload, next)
  }
}

/** A step's model is called unless its data, or even its answer, came from outside already. */
function runStep(draft: Draft, node: number, visit: Visit, payload: Payload, next: Flow[]): void {
  const plan = nodePlan(draft, node)
  const state = nodeState(draft, node)
  if (state.fired.length > draft.plan.maxStepRevisits) {
    const limit = draft.plan.maxStepRevisits
    const message = `step ${plan.name} has run ${String(limit + 1)} times, which is all that maxStepRevisits ${String(limit)} allows`
    fail(draft, node, { kind: 'revisits', step: plan.name, limit, message })
    return
  }
  state.fired = withVisit(state.fired, visitKey(visit))
  const message = toRequest(payload)
  if (!putOnEdge(draft, plan.into, visit, message, next)) return
  if (plan.answers !== undefined && hasSeen(draft, plan.answers, visit)) return
  draft.lastId += 1
  draft.calls.push({ id: draft.lastId, node, visit })
  const { request } = message
  draft.effects.push({ kind: 'call', call: draft.lastId, node, step: plan.name, visit, request })
}

/** @returns false when the same came from outside before */
function putOnEdge(draft: Draft, edge: number, visit: Visit, message: EdgeMessage, next: Flow[]): boolean {
  if (!markSeen(draft, edge, visit)) return false
  recordEdge(draft, edge, visit, message)
  if (consumersOf(draft, edge).length > 0) next.push({ edge, visit, payload: toPayload(message) })
  return true
}

function answer(draft: Draft, plan: PlanNode, visit: Visit, payload: Payload): void {
  const message = toResponse(payload)
  if (markSeen(draft, plan.into, visit)) recordEdge(draft, plan.into, visit, message)
  endRequest(draft, 'answered', { kind: 'answer', response: message.response })
}

export function recordEdge(draft: Draft, edge: number, visit: Visit, message: EdgeMessage): void {
  const end = draft.plan.edges[edge]?.end
  if (end !== undefined) draft.effects.push({ kind: 'record', edge, end, visit, message })
}

function takeVoid(draft: Draft, node: number, group: GroupName, source: number, next: Flow[]): void {
  if (draft.plan.loops > 0 || draft.isOpen) return
  const plan = nodePlan(draft, node)
  const state = nodeState(draft, node)
  const groupPlan = plan[group]
  const groupState = state[group]
  if (groupPlan === undefined || groupState === undefined || groupState.isVoid[source] === true) return
  if (!giveUp(groupPlan, groupState, source) || state.isVoid) return
  state.isVoid = true
  const visit = ONLY_VISIT
  if (plan.kind !== 'output') next.push({ edge: plan.into, visit, payload: undefined })
  if (plan.answers !== undefined) next.push({ edge: plan.answers, visit, payload: undefined })
}

/** Why something did not flow, for the message of a failure. */
function lossOf(draft: Draft, node: number, source: Source): string {
  const plan = draft.plan.nodes[node]
  const what = source.tensors === undefined ? 'any tensor' : [...source.tensors].join(' or ')
  return `${draft.plan.edges[source.edge]?.name ?? ''} came without ${what} for ${plan === undefined ? '' : nameOf(plan)}`
}

export function noteTooFar(draft: Draft, node: PlanNode, { sources, windowMs }: Group): void {
  const names = sources.map(({ name }) => name).join(' and ')
  noteLoss(draft, `${names} did not come within ${String(windowMs)} ms of each other for ${nameOf(node)}`)
}
