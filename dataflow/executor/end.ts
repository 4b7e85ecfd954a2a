/**
 * How a request ends. It is answered once, or fails once; then only side branches go on, and when they have come to rest, or at
 * the deadline, it is finished. Whoever cancels it wants nothing of it any more.
 */
import type { Draft } from './draft.ts'
import { canStillAnswer, describeDeadline, describeLosses, hasWindowOfSide, isNeeded } from './needed.ts'
import type { Effect, Failure } from './types.ts'

type Ending = Extract<Effect, { kind: 'answer' | 'fail' }>

/** What is in flight when an answer goes out may finish; when the request failed, only what side branches need. */
export function endRequest(draft: Draft, outcome: 'answered' | 'failed', ending: Ending): void {
  draft.outcome = outcome
  draft.effects.push(ending)
  if (outcome === 'failed') cancelCalls(draft, (node) => draft.plan.nodes[node]?.feedsSide !== true)
}

/** A node failed: the request with it, if the output still depends on it. */
export function fail(draft: Draft, node: number, failure: Failure): void {
  if (draft.outcome === 'running' && isNeeded(draft, node)) endRequest(draft, 'failed', { kind: 'fail', failure })
  else draft.effects.push({ kind: 'sideFailed', failure })
}

/** After every event: a request that cannot be answered any more fails, one that has come to rest is finished. */
export function settle(draft: Draft): void {
  if (draft.isFinished) return
  const { plan } = draft
  if (draft.outcome === 'running') {
    // Before the first data nothing has begun.
    if (!hasBegun(draft)) return
    if (plan.outputNode === undefined) {
      if (isAtRest(draft)) finish(draft)
      return
    }
    // In an open world what the output lacks may still arrive.
    if (draft.isOpen) return
    if (draft.nodes[plan.outputNode]?.isVoid !== true && canStillAnswer(draft)) return
    endRequest(draft, 'failed', { kind: 'fail', failure: { kind: 'noOutput', message: describeLosses(draft) } })
  }
  if (isAtRest(draft)) finish(draft)
}

/** The deadline: nothing goes on, not even side branches. */
export function endAtDeadline(draft: Draft): void {
  const isOwed = draft.plan.outputNode !== undefined || !isAtRest(draft)
  const failure: Failure = { kind: 'deadline', message: describeDeadline(draft) }
  if (draft.outcome === 'running' && isOwed) endRequest(draft, 'failed', { kind: 'fail', failure })
  stop(draft)
}

/** The caller is gone; once it was answered, that changes nothing. */
export function cancelRequest(draft: Draft): void {
  if (draft.outcome !== 'running') return
  draft.outcome = 'cancelled'
  stop(draft)
}

function stop(draft: Draft): void {
  cancelCalls(draft, () => true)
  finish(draft)
}

function finish(draft: Draft): void {
  draft.isFinished = true
  draft.effects.push({ kind: 'finished' })
}

function cancelCalls(draft: Draft, isOver: (node: number) => boolean): void {
  draft.calls = draft.calls.filter(({ id, node }) => {
    if (isOver(node)) draft.effects.push({ kind: 'cancel', call: id })
    return !isOver(node)
  })
}

const hasBegun = ({ seen, plan }: Draft): boolean => (seen[plan.inputEdge]?.length ?? 0) > 0

const isAtRest = (draft: Draft): boolean => draft.calls.length === 0 && !hasWindowOfSide(draft)
