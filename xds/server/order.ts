/**
 * I1, make before break, per node: a cluster and its endpoints are ACKed before a route names them; a route stops naming
 * them, ACKed, before they go. Each function answers whether one resource may be sent now.
 */
import type { Cache } from '../cache/cache.ts'
import type { Kind } from '../cache/resource.ts'
import { clusterName, PROTOCOLS } from '../translate/names.ts'
import { oldestOwed, type Subscription } from './delta-subscription.ts'
import { contentFor, isRefused } from './node-content.ts'
import type { Session } from './session.ts'

export function maySend(session: Session, cache: Cache, kind: Kind, name: string, since: number): boolean {
  switch (kind) {
    case 'CDS':
    case 'LDS':
    case 'SRDS':
      return true
    case 'EDS':
      return isOnItsWay(session.subscriptions.CDS, name)
    case 'RDS': // I1: make
      return setsNamedBy(session, cache, name).every((id) =>
        isInPlace(session, cache, id, cache.changedAt('RDS', name)),
      )
    case 'ECDS': // a split sends traffic to targets, so their routes come first; the first table holds nobody up
      return !session.subscriptions.ECDS.known.has(name) || routesAreSettled(session, since)
  }
}

/**
 * Endpoints follow their cluster on the stream, but do not wait for its ACK: Envoy ACKs a cluster when it has them. So
 * they go while it is outstanding, even if it changed again since; with the next version they go again. A node that came
 * back with a cluster from the stream before, and waits for its endpoints, asks for no clusters until it has them (15 s).
 */
function isOnItsWay(clusters: Subscription, name: string): boolean {
  return !clusters.started || clusters.outstanding?.sent.has(name) === true || !clusters.owed.has(name)
}

/** I1, break: whether the node has ACKed every route change up to that revision, so that what it took out may go. */
export function mayRemove(session: Session, kind: Kind, since: number): boolean {
  return kind !== 'CDS' || routesAreSettled(session, since)
}

function routesAreSettled({ subscriptions }: Session, revision: number): boolean {
  const oldest = oldestOwed(subscriptions.RDS)
  return oldest === undefined || oldest > revision
}

function setsNamedBy(session: Session, cache: Cache, shard: string): string[] {
  const content = contentFor(session, cache, shard)?.values() ?? []
  return [...new Set([...content].flatMap((route) => route.endpointSetIds))]
}

/**
 * The node has ACKed the set as it was when the shard last changed, or later. (A set whose endpoints come and go all the
 * time must not hold up its routes.)
 */
function isInPlace(session: Session, cache: Cache, setId: string, shardChangedAt = 0): boolean {
  return PROTOCOLS.map((protocol) => clusterName(setId, protocol)).every((name) =>
    (['CDS', 'EDS'] as const).every((kind) => {
      const known = session.subscriptions[kind].known.get(name)
      if (known === undefined) return false
      const resource = cache.get(kind, name)
      if (resource === undefined || resource.version === known.version) return true
      return known.revision >= Math.min(resource.revision, shardChangedAt) || isRefused(session, kind, resource)
    }),
  )
}
