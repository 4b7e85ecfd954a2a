/** What changed lately, so that a watcher that was away for a moment is told that and not everything. */
import type { Kind } from '../../api/resources/resource.ts'
import { KINDS } from '../../api/resources/resource.ts'
import type { Feed } from '../loop/feed.ts'
import { namesIn } from './kinds.ts'

/** Older changes than these are forgotten: who was away for longer is told everything. */
const MAX_CHANGES = 10_000

export interface RecentChanges {
  /** What changed after a revision, oldest first; undefined when that is not known (any more). */
  readonly since: (kind: Kind, revision: number) => readonly string[] | undefined
}

/** Remembers from now on. `revision` is that of the change being published. */
export function rememberChanges(feed: Feed, revision: () => number, limit = MAX_CHANGES): RecentChanges {
  let knownSince = revision()
  let changes: { readonly revision: number; readonly kind: Kind; readonly name: string }[] = []
  feed.subscribe((published) => {
    const at = revision()
    for (const change of published)
      for (const kind of KINDS) for (const name of namesIn(kind, change)) changes.push({ revision: at, kind, name })
    if (changes.length <= 2 * limit) return // forgetting costs as much as was remembered
    knownSince = changes.at(-limit - 1)?.revision ?? at
    changes = changes.slice(-limit)
  })
  return {
    since: (kind, after) => {
      if (after < knownSince || after > revision()) return undefined
      const names = changes.filter((change) => change.kind === kind && change.revision > after).map(({ name }) => name)
      return [...new Set(names)]
    },
  }
}

/** Positions as watchers keep them: they mean nothing in another store, which counts its revisions on its own. */
export function watchPositions(recent: RecentChanges, storeId: string, revision: () => number) {
  const prefix = `${storeId}/`
  return {
    position: (): string => `${prefix}${String(revision())}`,
    changesSince: (kind: Kind, position: string): readonly string[] | undefined => {
      const after = position.startsWith(prefix) ? position.slice(prefix.length) : ''
      return /^\d{1,15}$/.test(after) ? recent.since(kind, Number(after)) : undefined
    },
  }
}
