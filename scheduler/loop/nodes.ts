/** The Envoys of all schedulers, with what each refused and why: those of the others as the board in Redis tells (I7). */
import type { NodeStatus, Refusal } from '../../xds/index.ts'
import type { NodeAck, NodeDetails, NodeRefusal } from '../domain/store.ts'

/** Of one node the latest are kept. */
const MAX_REFUSALS = 50

export interface NodeReport {
  readonly node: string
  /** The one that it is connected to. */
  readonly scheduler: string
  readonly ackedRevision: number
  readonly told?: NodeDetails
}

export interface NodeReports {
  readonly note: (refusal: Refusal) => void
  /** Forgets the refusals of nodes that left. */
  readonly keepOnly: (nodes: readonly NodeStatus[]) => void
  readonly of: (node: NodeStatus) => NodeDetails
}

export function createNodeReports(now: () => number): NodeReports {
  const byNode = new Map<string, Map<string, NodeRefusal>>()
  return {
    note: ({ node, revision, kind, key, reason }) => {
      const refusals = byNode.get(node) ?? new Map<string, NodeRefusal>()
      byNode.set(node, refusals)
      const subject = `${kind}/${key ?? ''}`
      refusals.delete(subject) // the newest goes to the end
      refusals.set(subject, { atMs: now(), revision, kind, ...(key === undefined ? {} : { key }), reason })
      const [oldest] = refusals.keys()
      if (refusals.size > MAX_REFUSALS && oldest !== undefined) refusals.delete(oldest)
    },
    keepOnly: (nodes) => {
      const connected = new Set(nodes.map(({ node }) => node))
      for (const node of byNode.keys()) if (!connected.has(node)) byNode.delete(node)
    },
    of: ({ node, connectedAtMs, silentSinceMs, heldBecause }) => ({
      connectedAtMs,
      ...(silentSinceMs === undefined ? {} : { silentSinceMs }),
      ...(heldBecause === undefined ? {} : { heldBecause }),
      refusals: [...(byNode.get(node)?.values() ?? [])],
    }),
  }
}

/** By name. */
export const toNodeReports = (acks: readonly NodeAck[]): readonly NodeReport[] =>
  acks
    .map(({ node, scheduler, ackedRevision, told }) => ({ node, scheduler, ackedRevision, ...(told && { told }) }))
    .toSorted((a, b) => (a.node < b.node ? -1 : 1))
