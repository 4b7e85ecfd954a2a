import type { Cache } from '../cache/cache.ts'
import { KINDS, type Kind, type Resource } from '../cache/resource.ts'
import { awaitsEmptyAnswer, owe, send, type Subscription, wants } from './delta-subscription.ts'
import { isMissing, isRefused, leaveOut, resourceFor } from './node-content.ts'
import { maySend, mayRemove } from './order.ts'
import type { NodeRefusal, Session } from './session.ts'

/** One response to be written to the stream. */
export interface Response {
  readonly kind: Kind
  readonly nonce: string
  readonly resources: readonly Resource[]
  readonly removed: readonly string[]
}

/** A first push of 100,000 models comes in pieces of this size. */
const MAX_RESPONSE_BYTES = 2 * 1024 * 1024

export interface Next {
  readonly responses: readonly Response[]
  /** Routes that are left out of what the node is sent. */
  readonly refusals: readonly NodeRefusal[]
}

/** All responses that may be sent now, at most one of each kind; they are outstanding from here on. */
export function nextResponses(session: Session, cache: Cache): Next {
  const revision = cache.revision()
  if (revision === undefined || session.heldBecause !== undefined) return { responses: [], refusals: [] } // I9
  const responses: Response[] = []
  const refusals = [...session.subscriptions.RDS.owed.keys()].flatMap((shard) => leaveOut(session, cache, shard))
  for (let hasSettled = true; hasSettled;) {
    hasSettled = false // what settles without being sent may be what something else waits for
    for (const kind of KINDS) {
      const subscription = session.subscriptions[kind]
      if (!subscription.started || subscription.outstanding !== undefined) continue
      const owedBefore = subscription.owed.size
      const batch = pick(session, cache, kind, subscription)
      hasSettled ||= subscription.owed.size < owedBefore
      if (batch.size === 0 && !awaitsEmptyAnswer(subscription)) continue
      session.lastNonce += 1
      const nonce = String(session.lastNonce)
      send(subscription, nonce, batch, revision)
      if (kind === 'CDS') sendEndpointsAgain(session, batch, revision)
      responses.push(toResponse(kind, nonce, batch))
    }
  }
  return { responses, refusals }
}

function toResponse(kind: Kind, nonce: string, batch: Batch): Response {
  const resources = [...batch.values()].filter((resource) => resource !== undefined)
  const removed = [...batch.keys()].filter((name) => batch.get(name) === undefined)
  return { kind, nonce, resources, removed }
}

/**
 * Envoy applies a changed cluster, and ACKs it, only when its endpoints come again: 6 ms with them, 15 s without. A node
 * that reconnects may name the endpoints that it has after its cluster was sent.
 */
function sendEndpointsAgain({ subscriptions }: Session, clusters: Batch, revision: number): void {
  for (const [name, cluster] of clusters) {
    if (cluster === undefined) continue
    subscriptions.EDS.asked.add(name)
    owe(subscriptions.EDS, name, revision)
  }
}

type Batch = Map<string, Resource | undefined>

/** What is owed and may be sent. What turns out to need no sending is owed no longer. */
function pick(session: Session, cache: Cache, kind: Kind, subscription: Subscription): Batch {
  const batch: Batch = new Map()
  let bytes = 0
  for (const [name, since] of subscription.owed) {
    const decision = decide(session, cache, kind, name, since)
    if (decision.kind === 'settled') subscription.owed.delete(name)
    if (decision.kind !== 'send') continue
    const { resource } = decision
    if (subscription.alone.has(name)) return new Map([[name, resource]])
    batch.set(name, resource)
    bytes += resource?.bytes.length ?? 0
    if (bytes >= MAX_RESPONSE_BYTES) break
  }
  return batch
}

type Decision =
  | { readonly kind: 'send'; readonly resource: Resource | undefined }
  | { readonly kind: 'wait' }
  | { readonly kind: 'settled' }

function decide(session: Session, cache: Cache, kind: Kind, name: string, since: number): Decision {
  const subscription = session.subscriptions[kind]
  const known = subscription.known.get(name)
  const asked = subscription.asked.has(name)
  if (cache.changedAt(kind, name) === undefined) {
    const isToBeTold = asked || (subscription.wildcard && known !== undefined)
    if (!isToBeTold) return { kind: 'settled' }
    return mayRemove(session, kind, since) ? { kind: 'send', resource: undefined } : { kind: 'wait' }
  }
  if (kind === 'EDS' && isMissing(session, cache, name)) return { kind: 'settled' }
  if (!wants(subscription, name) || !maySend(session, cache, kind, name, since)) return { kind: 'wait' }
  const resource = resourceFor(session, cache, kind, name)
  if (resource === undefined || isRefused(session, kind, resource)) return { kind: 'settled' }
  if (known?.version === resource.version && !asked) return { kind: 'settled' }
  return { kind: 'send', resource }
}
