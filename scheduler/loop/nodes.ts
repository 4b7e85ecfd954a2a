/** The Envoys that are connected here, with what each refused and why. */
import type { NodeStatus, Refusal } from '../../xds/index.ts'

/** Of one node the latest are kept. */
const MAX_REFUSALS = 50

export interface NodeRefusal {
  readonly atMs: number
  readonly revision: number
  readonly kind: Refusal['kind']
  /** The target or endpoint set, when one culprit is known. */
  readonly key?: string
  readonly reason: string
}

export interface NodeReport extends NodeStatus {
  /** Oldest first; each target or endpoint set once, with what was said of it last. */
  readonly refusals: readonly NodeRefusal[]
}

export interface NodeReports {
  readonly note: (refusal: Refusal) => void
  /** Forgets the refusals of nodes that left. */
  readonly keepOnly: (nodes: readonly NodeStatus[]) => void
  readonly of: (nodes: readonly NodeStatus[]) => readonly NodeReport[]
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
    of: (nodes) => nodes.map((status) => ({ ...status, refusals: [...(byNode.get(status.node)?.values() ?? [])] })),
  }
}
