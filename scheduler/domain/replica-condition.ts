/**
 * What a server replica's record means for the models on it. An agent lost is not a replica lost: its server may still answer.
 */
import type { ReplicaDocument } from './documents.ts'

export type ReplicaCondition =
  /** Its agent is there and its server answers. */
  | { readonly kind: 'serving' }
  /** Expected back: its models count, no new ones are placed. `untilMs` absent: for as long as it says so itself. */
  | { readonly kind: 'away'; readonly untilMs?: number; readonly reason: string }
  /** Still answers, but its models must be replaced before they leave. */
  | { readonly kind: 'retiring'; readonly reason: string }
  /** Does not answer any more. */
  | { readonly kind: 'lost'; readonly reason: string }

export function conditionOf(replica: ReplicaDocument | undefined, nowMs: number, graceMs: number): ReplicaCondition {
  if (replica === undefined) return { kind: 'lost', reason: 'is not known' }
  const { agent, health } = replica
  if (health.kind === 'down') {
    const reason = `does not answer (${health.reason})`
    const untilMs = health.sinceMs + graceMs
    return replica.draining || nowMs >= untilMs ? { kind: 'lost', reason } : { kind: 'away', untilMs, reason }
  }
  if (replica.draining) return { kind: 'retiring', reason: 'is draining' }
  if (agent.kind === 'lost') {
    const reason = 'has lost its agent'
    const untilMs = agent.sinceMs + graceMs
    return nowMs >= untilMs ? { kind: 'retiring', reason } : { kind: 'away', untilMs, reason }
  }
  return health.kind === 'reloading' ? { kind: 'away', reason: 'is loading its models again' } : { kind: 'serving' }
}

/** New copies go only where the agent can be told and the server answers. */
export function takesNewCopies(replica: ReplicaDocument): boolean {
  return conditionOf(replica, 0, 0).kind === 'serving' // time only tells how long one that is not has been away
}
