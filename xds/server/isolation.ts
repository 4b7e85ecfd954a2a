/**
 * Finds the routes that a node refuses. An RDS refusal freezes the whole shard at the node, with no word about which
 * route is wrong; so the node is sent what it last accepted plus one half of the changes, then plus the other half, and
 * so on down to single routes. What is accepted stays. Pure.
 */
import type { ShardContent } from '../cache/route-content.ts'

export interface Isolation {
  /** What the node has accepted so far. */
  readonly base: ShardContent
  /** Where each route that is on trial comes from. */
  readonly wanted: ShardContent
  /** Targets on trial together, the first group next. */
  readonly groups: readonly (readonly string[])[]
}

/** The node refused `wanted`; `accepted` is what it has. Removed routes are out at once, they cannot be the reason. */
export function beginIsolation(accepted: ShardContent, wanted: ShardContent): Isolation {
  const base = new Map([...accepted].filter(([target]) => wanted.has(target)))
  const changed = [...wanted.keys()].filter((target) => wanted.get(target) !== accepted.get(target))
  return { base, wanted, groups: [changed] }
}

/** What to send next. */
export function trial({ base, wanted, groups }: Isolation): ShardContent {
  const content = new Map(base)
  for (const target of groups[0] ?? []) {
    const route = wanted.get(target)
    if (route !== undefined) content.set(target, route)
  }
  return content
}

/** The trial was accepted. */
export function afterAccepted(isolation: Isolation): Isolation {
  return { ...isolation, base: trial(isolation), groups: isolation.groups.slice(1) }
}

/** The trial was refused: either its one target is the culprit, or it is halved. */
export function afterRefused(isolation: Isolation): { readonly next: Isolation; readonly culprit: string | undefined } {
  const [group = [], ...rest] = isolation.groups
  if (group.length <= 1) return { next: { ...isolation, groups: rest }, culprit: group[0] }
  const half = Math.ceil(group.length / 2)
  return { next: { ...isolation, groups: [group.slice(0, half), group.slice(half), ...rest] }, culprit: undefined }
}
