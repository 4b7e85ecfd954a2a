/** What one node is to have, which differs from what all have only while it refuses something. */
import type { Cache } from '../cache/cache.ts'
import type { Kind, Resource } from '../cache/resource.ts'
import type { EncodedRoute, ShardContent } from '../cache/route-content.ts'
import { clusterName, PROTOCOLS } from '../translate/names.ts'
import { trial } from './isolation.ts'
import { type NodeRefusal, refusalKey, refusesSomething, type Session } from './session.ts'

/** The resource to send; undefined when there is none. */
export function resourceFor(session: Session, cache: Cache, kind: Kind, name: string): Resource | undefined {
  if (kind !== 'RDS') return cache.get(kind, name)
  const content = contentFor(session, cache, name)
  if (content === undefined || content === cache.content(name)) return cache.get('RDS', name)
  return cache.buildShard(name, content)
}

/** The routes of a shard: all, or those on trial, or all but the refused ones, in whose place the last good ones stay. */
export function contentFor(session: Session, cache: Cache, shard: string): ShardContent | undefined {
  const content = cache.content(shard)
  const isolation = session.isolations.get(shard)
  if (isolation !== undefined) return trial(isolation)
  if (content === undefined || !refusesSomething(session)) return content
  const accepted = acceptedContent(session, shard)
  const kept = new Map<string, EncodedRoute>()
  for (const [target, route] of content) {
    const usable = [route, accepted?.get(target)].find(
      (candidate) => candidate !== undefined && isUsable(session, cache, target, candidate),
    )
    if (usable !== undefined) kept.set(target, usable)
  }
  const unchanged = kept.size === content.size && [...kept].every(([target, route]) => content.get(target) === route)
  return unchanged ? content : kept
}

/** Notes the routes of a shard that cannot be sent because the node refused their endpoint set; each is told once. */
export function leaveOut(session: Session, cache: Cache, shard: string): readonly NodeRefusal[] {
  if (!refusesSomething(session)) return []
  const left = [...(cache.content(shard) ?? [])].filter(
    ([target, route]) => session.refusedRoutes.get(target) !== route && !isUsable(session, cache, target, route),
  )
  for (const [target, route] of left) session.refusedRoutes.set(target, route)
  return left.map(([key]) => ({ kind: 'route', key, reason: 'the endpoint set that it names was refused' }))
}

/** What the node ACKed on this stream; unknown when it brought the shard from an earlier one. */
export function acceptedContent(session: Session, shard: string): ShardContent | undefined {
  const resource = session.subscriptions.RDS.known.get(shard)?.resource
  return resource !== undefined && 'content' in resource ? (resource.content as ShardContent) : undefined
}

export function isRefused(session: Session, kind: Kind, resource: Resource): boolean {
  return session.refusedVersions.get(refusalKey(kind, resource.name)) === resource.version
}

/** A cluster that the node refused and of which it has no earlier version: nothing can be sent to it. */
export function isMissing(session: Session, cache: Cache, name: string): boolean {
  return (['CDS', 'EDS'] as const).some((kind) => {
    const resource = cache.get(kind, name)
    const refused = resource !== undefined && isRefused(session, kind, resource)
    return refused && !session.subscriptions[kind].known.has(name)
  })
}

function isUsable(session: Session, cache: Cache, target: string, route: EncodedRoute): boolean {
  if (session.refusedRoutes.get(target) === route) return false
  return route.endpointSetIds.every((id) =>
    PROTOCOLS.map((protocol) => clusterName(id, protocol)).every(
      (name) => cache.get('CDS', name) !== undefined && !isMissing(session, cache, name),
    ),
  )
}
