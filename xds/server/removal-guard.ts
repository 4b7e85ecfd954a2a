/**
 * I9: an empty or half-read Redis never wipes an Envoy. A node that comes from an earlier stream says which versions it
 * has, and the version of a shard says how many models it holds; when too many of them would go, the node is sent
 * nothing until all of them are back, or a person says that it is meant.
 */
import type { Cache } from '../cache/cache.ts'
import { modelsInVersion } from '../cache/route-content.ts'
import type { Session } from './session.ts'

const MAX_REMOVED_SHARE = 0.2
/** A few models may always go: with five models, one is a fifth. */
const ALWAYS_ALLOWED = 10

/** Why the node is to be held, or undefined. Counts only what it brought along; a node that is new brought nothing. */
export function judgeRemovals(session: Session, cache: Cache): string | undefined {
  if (cache.revision() === undefined) return undefined
  const clusters = lostClusters(session, cache)
  if (clusters !== undefined) return clusters
  const { standing, gone } = countModels(session, cache)
  if (gone <= Math.max(ALWAYS_ALLOWED, standing * MAX_REMOVED_SHARE)) return undefined
  return `${String(gone)} of its ${String(standing)} models would go at once`
}

/**
 * Whether a held node may go on by itself: nothing that it has would go any more. Stricter than what holds it, because
 * models that are being applied again come one by one, and the last fifth is not to be dropped meanwhile.
 */
export function isWholeAgain(session: Session, cache: Cache): boolean {
  return toldItsRoutes(session) && lostClusters(session, cache) === undefined && countModels(session, cache).gone === 0
}

/** A node names what it has kind by kind; without a listener or scopes it has no routes to name. */
function toldItsRoutes({ subscriptions: { LDS, SRDS, RDS } }: Session): boolean {
  return RDS.started || [LDS, SRDS].some(({ started, known }) => started && known.size === 0)
}

function lostClusters(session: Session, cache: Cache): string | undefined {
  if (cache.modelCount() > 0) return undefined
  const clusters = [...brought(session, 'CDS').keys()]
  if (clusters.every((name) => cache.get('CDS', name) !== undefined)) return undefined
  return `it has ${String(clusters.length)} clusters, and the state that was loaded has no model at all`
}

function countModels(session: Session, cache: Cache): { readonly standing: number; readonly gone: number } {
  let standing = 0
  let gone = 0
  for (const [name, version] of brought(session, 'RDS')) {
    const has = modelsInVersion(version)
    standing += has
    const ours = cache.get('RDS', name)
    gone += ours === undefined ? has : Math.max(0, has - modelsInVersion(ours.version))
  }
  return { standing, gone }
}

function brought(session: Session, kind: 'CDS' | 'RDS'): Map<string, string> {
  const known = [...session.subscriptions[kind].known].filter(([, { resource }]) => resource === undefined)
  return new Map(known.map(([name, { version }]) => [name, version]))
}
