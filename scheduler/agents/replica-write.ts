/** Changing a server replica's record: the write, and the events that `describe server` shows. Pure. */
import type { ReplicaDocument } from '../domain/documents.ts'
import { sameValue } from '../domain/same-value.ts'
import type { Write } from '../domain/store.ts'

/** Nothing when nothing changed. */
export function writeReplica(
  before: ReplicaDocument | undefined,
  document: ReplicaDocument,
  nowMs: number,
): readonly Write[] {
  if (sameValue(before, document)) return []
  const write: Write = {
    kind: 'replica',
    name: document.key,
    expectedRevision: before?.revision ?? 0,
    document,
  }
  const events = toEvents(before, document).map((event): Write => ({
    kind: 'event',
    subject: `server/${document.server}`,
    event: { atMs: nowMs, ...event },
  }))
  return [write, ...events]
}

interface Happening {
  readonly kind: 'info' | 'warning'
  readonly reason: string
  readonly message: string
}

function toEvents(before: ReplicaDocument | undefined, after: ReplicaDocument): readonly Happening[] {
  const { key, agent, health } = after
  const happenings: Happening[] = []
  if (agent.kind !== before?.agent.kind)
    happenings.push(
      agent.kind === 'connected'
        ? { kind: 'info', reason: 'AgentConnected', message: `the agent of ${key} connected` }
        : { kind: 'warning', reason: 'AgentLost', message: `the agent of ${key} is gone; its server may still answer` },
    )
  if (health.kind !== before?.health.kind) happenings.push(toHealthEvent(key, health))
  if (after.draining && before?.draining !== true)
    happenings.push({ kind: 'info', reason: 'ReplicaDraining', message: `${key} is about to stop` })
  return happenings
}

function toHealthEvent(key: string, health: ReplicaDocument['health']): Happening {
  switch (health.kind) {
    case 'serving':
      return { kind: 'info', reason: 'ReplicaServing', message: `${key} answers and has its models` }
    case 'reloading':
      return { kind: 'info', reason: 'ReplicaReloading', message: `${key} answers and loads its models` }
    case 'down':
      return { kind: 'warning', reason: 'ReplicaDown', message: `${key} does not answer: ${health.reason}` }
  }
}
