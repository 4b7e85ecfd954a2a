import type { Cache, Touched } from '../cache/cache.ts'
import { KINDS, type Kind } from '../cache/resource.ts'
import type { EncodedRoute } from '../cache/route-content.ts'
import { createSubscription, oldestOwed, owe, type Subscription } from './delta-subscription.ts'
import type { Isolation } from './isolation.ts'

/** What a node refused, once it is known what it was. */
export interface NodeRefusal {
  readonly kind: 'route' | 'endpointSet' | 'other'
  readonly key: string
  readonly reason: string
}

/** One connected node: what it has, what it is owed, what it refused. Data only. */
export interface Session {
  readonly subscriptions: Readonly<Record<Kind, Subscription>>
  /** Versions that the node refused, by `refusalKey`: not sent again until they change. */
  readonly refusedVersions: Map<string, string>
  /** Routes that the node refused, or whose endpoint set it refused, by target; reported, and left out of its shard until they change. */
  readonly refusedRoutes: Map<string, EncodedRoute>
  /** Shards in which a culprit is being looked for. */
  readonly isolations: Map<string, Isolation>
  /** Why the node is sent nothing (I9). */
  heldBecause: string | undefined
  /** Whether I9's guard was lifted by a person. */
  forced: boolean
  lastNonce: number
}

export function createSession(cache: Cache): Session {
  const subscriptions = Object.fromEntries(KINDS.map((kind) => [kind, createSubscription(cache.names(kind))]))
  return {
    subscriptions: subscriptions as Record<Kind, Subscription>,
    refusedVersions: new Map(),
    refusedRoutes: new Map(),
    isolations: new Map(),
    heldBecause: undefined,
    forced: false,
    lastNonce: 0,
  }
}

export const refusalKey = (kind: Kind, name: string): string => `${kind} ${name}`

/** Whether the node's route tables may differ from those of all. */
export const refusesSomething = ({ refusedRoutes, refusedVersions }: Session): boolean =>
  refusedRoutes.size > 0 || refusedVersions.size > 0

/** The node is owed what a change touched. */
export function oweTouched(session: Session, cache: Cache, touched: readonly Touched[], revision: number): void {
  for (const { kind, name } of touched) owe(session.subscriptions[kind], name, revision)
  const removesCluster = touched.some(({ kind, name }) => kind === 'CDS' && cache.get(kind, name) === undefined)
  if (removesCluster && refusesSomething(session))
    // a last good route that stood in for a refused one may name it
    for (const shard of cache.names('RDS')) owe(session.subscriptions.RDS, shard, revision)
  for (const [target, route] of session.refusedRoutes)
    if (cache.route(target) !== route) session.refusedRoutes.delete(target)
}

/** Everything up to this revision is ACKed, or was refused and reported. -1: not even the first state. */
export function ackedRevision(session: Session, cache: Cache): number {
  const owed = KINDS.map((kind) => oldestOwed(session.subscriptions[kind])).filter((since) => since !== undefined)
  return owed.length === 0 ? (cache.revision() ?? -1) : Math.min(...owed) - 1
}
