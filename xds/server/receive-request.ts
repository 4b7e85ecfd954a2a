import type { Cache } from '../cache/cache.ts'
import type { Kind } from '../cache/resource.ts'
import type { ShardContent, ShardResource } from '../cache/route-content.ts'
import { endpointSetIdOf } from '../translate/names.ts'
import { type DeltaRequest, NEVER, owe, receive, type Sent, type Subscription } from './delta-subscription.ts'
import { judgeRemovals } from './removal-guard.ts'
import { afterAccepted, afterRefused, beginIsolation, type Isolation } from './isolation.ts'
import { acceptedContent } from './node-content.ts'
import { type NodeRefusal, refusalKey, type Session } from './session.ts'

/** What came of a request. `refusedResponse` is Envoy's message about a response, to be logged at once. */
export interface Received {
  readonly refusedResponse: { readonly names: readonly string[]; readonly reason: string } | undefined
  readonly refusals: readonly NodeRefusal[]
}

/** Takes in one request of a node: subscriptions, ACKs and NACKs. Changes the session only. */
export function receiveRequest(session: Session, cache: Cache, kind: Kind, request: DeltaRequest): Received {
  const subscription = session.subscriptions[kind]
  const isFirst = !subscription.started
  const verdict = receive(subscription, request, cache.revision() ?? 0)
  if (isFirst && kind === 'EDS' && !session.subscriptions.CDS.started) sendAllAgain(subscription)
  if (isFirst && !session.forced) session.heldBecause ??= judgeRemovals(session, cache)
  switch (verdict.kind) {
    case 'none':
      return { refusedResponse: undefined, refusals: [] }
    case 'accepted':
      for (const [name, sent] of verdict.sent) onAccepted(session, cache, kind, name, sent)
      return { refusedResponse: undefined, refusals: [] }
    case 'refused':
      return {
        refusedResponse: { names: [...verdict.sent.keys()], reason: verdict.reason },
        refusals: onRefused(session, kind, verdict.sent, verdict.reason),
      }
  }
}

/**
 * A node that came back asks for its clusters first, unless one of the stream before still warms up: it asks for no clusters until
 * that one has its endpoints again, which it may have said it has, because of what the cluster was before it changed.
 */
function sendAllAgain(endpoints: Subscription): void {
  for (const name of endpoints.names) {
    endpoints.asked.add(name)
    owe(endpoints, name, NEVER)
  }
}

function onAccepted(session: Session, cache: Cache, kind: Kind, name: string, { since }: Sent): void {
  if (kind === 'RDS') {
    const isolation = session.isolations.get(name)
    if (isolation !== undefined) continueIsolation(session, name, since, afterAccepted(isolation))
  }
  if (session.refusedVersions.delete(refusalKey(kind, name)) && (kind === 'CDS' || kind === 'EDS'))
    tryRoutesAgain(session, cache, endpointSetIdOf(name), since)
}

/** A set that was refused is there now: so are the routes to it. */
function tryRoutesAgain(session: Session, cache: Cache, setId: string, since: number): void {
  for (const [target, route] of session.refusedRoutes)
    if (route.endpointSetIds.includes(setId)) session.refusedRoutes.delete(target)
  for (const shard of cache.names('RDS')) owe(session.subscriptions.RDS, shard, since)
}

/** Envoy says that a response is bad, not what in it: each of its resources is sent alone. */
function onRefused(
  session: Session,
  kind: Kind,
  sent: ReadonlyMap<string, Sent>,
  reason: string,
): readonly NodeRefusal[] {
  const subscription = session.subscriptions[kind]
  const [only, ...others] = sent
  if (only === undefined) return []
  if (others.length > 0) {
    for (const [name, { since }] of sent) {
      subscription.alone.add(name)
      owe(subscription, name, since)
    }
    return []
  }
  const [name, { resource, since }] = only
  subscription.alone.delete(name)
  if (resource === undefined) return [{ kind: 'other', key: name, reason }]
  if (kind === 'RDS') return onShardRefused(session, resource as ShardResource, since, reason)
  session.refusedVersions.set(refusalKey(kind, name), resource.version)
  if (kind === 'CDS' || kind === 'EDS') return [{ kind: 'endpointSet', key: endpointSetIdOf(name), reason }]
  return [{ kind: 'other', key: name, reason }]
}

/** One shard is refused: the node keeps its last good version while the culprit is looked for. */
function onShardRefused(session: Session, shard: ShardResource, since: number, reason: string): NodeRefusal[] {
  const accepted: ShardContent = acceptedContent(session, shard.name) ?? new Map()
  const isolation = session.isolations.get(shard.name) ?? beginIsolation(accepted, shard.content)
  if (isolation.groups[0]?.length === 0) {
    session.refusedVersions.set(refusalKey('RDS', shard.name), shard.version)
    session.isolations.delete(shard.name)
    return [{ kind: 'other', key: shard.name, reason }]
  }
  const { next, culprit } = afterRefused(isolation)
  continueIsolation(session, shard.name, since, next)
  const route = culprit === undefined ? undefined : isolation.wanted.get(culprit)
  if (culprit === undefined || route === undefined) return []
  session.refusedRoutes.set(culprit, route)
  return [{ kind: 'route', key: culprit, reason }]
}

/** Until every group was tried, the shard stays owed; then what stands by now is owed, without the culprits. */
function continueIsolation(session: Session, shard: string, since: number, next: Isolation): void {
  if (next.groups.length === 0) session.isolations.delete(shard)
  else session.isolations.set(shard, next)
  owe(session.subscriptions.RDS, shard, since)
}
