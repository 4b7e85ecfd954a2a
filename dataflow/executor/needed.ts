/** What the output still depends on, and what is still waited for, as people read it. Pure. */
import type { PlanNode } from '../plan/plan.ts'
import type { Draft } from './draft.ts'
import type { GroupState } from './group.ts'
import type { Timer } from './state.ts'

const MAX_SHOWN = 5

/**
 * Whether a node's answer can still matter to the output: not that of a side branch, nor that of a step whose consumers have
 * all run with somebody else's data already. With loops a consumer may run again, so only side branches do not matter.
 */
export function isNeeded(draft: Draft, node: number): boolean {
  const { nodes, edges, loops } = draft.plan
  if (nodes[node]?.isSide !== false) return false
  if (loops > 0) return true
  const reached = new Set<number>()
  const next = [node]
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    const plan = nodes[at]
    const own = [...(plan?.answers === undefined ? [] : [plan.answers]), ...(at === node ? [] : [plan?.into ?? -1])]
    for (const consumer of own.flatMap((edge) => edges[edge]?.consumers ?? [])) {
      const state = draft.nodes[consumer.node]
      if (reached.has(consumer.node) || state === undefined || state.isVoid || state.fired.length > 0) continue
      if ((state[consumer.group]?.settled.length ?? 0) > 0) continue
      if (nodes[consumer.node]?.kind === 'output') return true
      reached.add(consumer.node)
      next.push(consumer.node)
    }
  }
  return false
}

/** Whether something of which the output may come is still under way: a call, or the window of an outer join. */
export function canStillAnswer(draft: Draft): boolean {
  const { nodes } = draft.plan
  for (const { node } of draft.calls) if (nodes[node]?.isSide === false) return true
  for (const timer of draft.timers) if (isOpenWindow(draft, timer) && nodes[timer.node]?.isSide === false) return true
  return false
}

/** Whether a side branch waits for the window of an outer join. */
export function hasWindowOfSide(draft: Draft): boolean {
  const { nodes } = draft.plan
  for (const timer of draft.timers) if (isOpenWindow(draft, timer) && nodes[timer.node]?.feedsSide === true) return true
  return false
}

/** Of an outer join, and not ended. */
const isOpenWindow = (draft: Draft, timer: Timer): timer is Extract<Timer, { kind: 'window' }> =>
  timer.kind === 'window' &&
  draft.nodes[timer.node]?.[timer.group]?.windows.some((window) => window.id === timer.id) === true

/** `nothing can reach the output any more: ...` */
export function describeLosses(draft: Draft): string {
  const reasons = draft.losses.length > 0 ? draft.losses : describeWaiting(draft)
  return `nothing can reach the output of pipeline ${draft.plan.pipeline} any more: ${reasons.join('; ')}`
}

export function describeDeadline(draft: Draft): string {
  const { startMs, deadlineMs } = draft
  const reasons = [...describeCalls(draft), ...describeWaiting(draft), ...draft.losses].slice(0, MAX_SHOWN)
  const told = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`
  return `pipeline ${draft.plan.pipeline} gave no answer within ${String(deadlineMs - startMs)} ms${told}`
}

function describeCalls({ calls, plan }: Draft): readonly string[] {
  const names = new Set(calls.map(({ node }) => plan.nodes[node]?.name ?? ''))
  return [...names].map((name) => `step ${name} has not answered`)
}

/** Nodes that lack something although whoever gives it has run, or is somebody outside. */
function describeWaiting(draft: Draft): readonly string[] {
  const lines = draft.plan.nodes.flatMap((plan, index) => {
    const state = draft.nodes[index]
    if (plan.isSide || state === undefined || state.fired.length > 0) return []
    const data = missing(draft, plan, 'data', state.data)
    const triggers = state.triggers === undefined ? [] : missing(draft, plan, 'triggers', state.triggers)
    const who = nameOf(plan)
    return [
      ...(data.length === 0 ? [] : [`${who} waits for ${data.join(', ')}`]),
      ...(triggers.length === 0 ? [] : [`${who} waits for its trigger ${triggers.join(', ')}`]),
    ]
  })
  return lines.slice(0, MAX_SHOWN)
}

function missing(
  { plan, nodes, calls }: Draft,
  node: PlanNode,
  group: 'data' | 'triggers',
  state: GroupState,
): readonly string[] {
  if (state.settled.length > 0 || state.windows.length > 0) return []
  const running = new Set(calls.map((call) => call.node))
  return (node[group]?.sources ?? []).flatMap((source, index) => {
    if ((state.arrivals[index] ?? []).length > 0) return []
    const producer = plan.edges[source.edge]?.producer
    const isOver = producer === undefined || ((nodes[producer]?.fired.length ?? 0) > 0 && !running.has(producer))
    return isOver || plan.loops > 0 ? [source.name] : []
  })
}

/** A node as people call it. */
export const nameOf = ({ kind, name }: PlanNode): string =>
  kind === 'step' ? `step ${name}` : `the pipeline's ${kind}`
