/**
 * One kind of resource on one stream: what the node asked for, what it has, what it is owed. A state machine without I/O.
 *
 * At most one response is outstanding; whatever changes meanwhile is coalesced into the next one.
 * A change is *owed* from the revision that made it until the node ACKs it, through every resend.
 */
import type { Resource } from '../cache/resource.ts'

/** Owed since before the first revision: the node is new. */
export const NEVER = 0

/** What the node has ACKed, or says it has from an earlier stream: then `resource` is not known. */
export interface Known {
  readonly version: string
  readonly resource: Resource | undefined
  /** The revision that the server was at when it sent this. */
  readonly revision: number
}

/** One resource of a response. `resource` is undefined when the response removes it. */
export interface Sent {
  readonly resource: Resource | undefined
  /** Owed since. */
  readonly since: number
  readonly revision: number
}

export interface Outstanding {
  readonly nonce: string
  readonly sent: ReadonlyMap<string, Sent>
}

export interface Subscription {
  wildcard: boolean
  started: boolean
  /** Whether any response was sent. A new node waits for one even when there is nothing. */
  answered: boolean
  readonly names: Set<string>
  readonly known: Map<string, Known>
  /** Names to be sent, each with the revision since which it is owed. */
  readonly owed: Map<string, number>
  /** Names to be sent even if the node has that version: it asked again, or its cluster was sent again. */
  readonly asked: Set<string>
  /** Names that were part of a refused response: each is sent alone, so that the culprit shows. */
  readonly alone: Set<string>
  outstanding: Outstanding | undefined
}

export interface DeltaRequest {
  readonly subscribe: readonly string[]
  readonly unsubscribe: readonly string[]
  readonly initialVersions: Readonly<Record<string, string>>
  readonly nonce: string
  /** Envoy's message when it refuses the response of that nonce. */
  readonly refusal: string | undefined
}

/** What a request says of the outstanding response. */
export type Verdict =
  | { readonly kind: 'none' }
  | { readonly kind: 'accepted'; readonly sent: ReadonlyMap<string, Sent> }
  | { readonly kind: 'refused'; readonly sent: ReadonlyMap<string, Sent>; readonly reason: string }

/** A new node is owed everything that stands. */
export function createSubscription(standing: Iterable<string>): Subscription {
  return {
    wildcard: false,
    started: false,
    answered: false,
    names: new Set(),
    known: new Map(),
    owed: new Map([...standing].map((name) => [name, NEVER])),
    asked: new Set(),
    alone: new Set(),
    outstanding: undefined,
  }
}

/** Takes in one request. `revision` is where the server is. */
export function receive(subscription: Subscription, request: DeltaRequest, revision: number): Verdict {
  if (!subscription.started) start(subscription, request)
  for (const name of request.subscribe) subscribe(subscription, name, revision)
  for (const name of request.unsubscribe) {
    subscription.names.delete(name)
    subscription.known.delete(name)
  }
  return settle(subscription, request)
}

/** The first request of a stream says what the node still has from an earlier one. */
function start(subscription: Subscription, request: DeltaRequest): void {
  subscription.started = true
  subscription.wildcard = request.subscribe.length === 0
  for (const [name, version] of Object.entries(request.initialVersions)) {
    subscription.known.set(name, { version, resource: undefined, revision: NEVER })
    owe(subscription, name, NEVER) // dropped when it turns out to be what stands
  }
}

/** A name that is asked for again is answered again, even with what the node has. */
function subscribe(subscription: Subscription, name: string, revision: number): void {
  if (name === '*') {
    subscription.wildcard = true
    return
  }
  const again = subscription.names.has(name)
  subscription.names.add(name)
  if (!again && subscription.known.has(name)) return
  subscription.asked.add(name)
  owe(subscription, name, revision)
}

function settle(subscription: Subscription, request: DeltaRequest): Verdict {
  const { outstanding } = subscription
  if (outstanding === undefined || request.nonce !== outstanding.nonce) return { kind: 'none' }
  subscription.outstanding = undefined
  if (request.refusal !== undefined) return { kind: 'refused', sent: outstanding.sent, reason: request.refusal }
  for (const [name, { resource, revision }] of outstanding.sent) {
    subscription.alone.delete(name)
    // One that it unsubscribed from meanwhile it has forgotten, ACK or not, and will wait for when it asks again.
    if (resource !== undefined && wants(subscription, name))
      subscription.known.set(name, { version: resource.version, resource, revision })
  }
  return { kind: 'accepted', sent: outstanding.sent }
}

/** Owes a name; one that is owed already stays owed since then. */
export function owe(subscription: Subscription, name: string, since: number): void {
  subscription.owed.set(name, Math.min(since, subscription.owed.get(name) ?? since))
}

/** Moves names from owed to outstanding. */
export function send(
  subscription: Subscription,
  nonce: string,
  resources: ReadonlyMap<string, Resource | undefined>,
  revision: number,
): void {
  const sent = new Map<string, Sent>()
  for (const [name, resource] of resources) {
    sent.set(name, { resource, since: subscription.owed.get(name) ?? revision, revision })
    subscription.owed.delete(name)
    subscription.asked.delete(name)
    if (resource === undefined) subscription.known.delete(name) // from here on nothing may count on it
  }
  subscription.outstanding = { nonce, sent }
  subscription.answered = true
}

/** A new node that asked for everything, of which there is nothing, is waiting to be told so. */
export function awaitsEmptyAnswer({ wildcard, answered, known, owed }: Subscription): boolean {
  return wildcard && !answered && known.size === 0 && owed.size === 0
}

/** Whether a resource may be sent by name: the node asked for it, or for all. */
export function wants(subscription: Subscription, name: string): boolean {
  return subscription.wildcard || subscription.names.has(name)
}

/** The revision since which something is owed or not yet ACKed; undefined when nothing is. */
export function oldestOwed(subscription: Subscription): number | undefined {
  let oldest: number | undefined
  for (const since of subscription.owed.values()) oldest = Math.min(since, oldest ?? since)
  for (const { since } of subscription.outstanding?.sent.values() ?? []) oldest = Math.min(since, oldest ?? since)
  return oldest
}
