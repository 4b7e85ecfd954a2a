/** What the reconciler asks of placement. Placement implements `Place`; the domain does not import it. */
import type { ClusterView } from './cluster.ts'
import type { ModelSpec, PlacementExplanation, ReplicaKey } from './documents.ts'

export interface PlacementRequest {
  readonly model: string
  readonly version: number
  readonly spec: ModelSpec
  /** Per replica; 0 = not known yet. */
  readonly memoryBytes: number
  /** How many more replicas are wanted. */
  readonly count: number
  /** Fewer than this are not worth placing (all or nothing: equal to `count`). */
  readonly minCount: number
  /** Replicas that the version keeps; never chosen again, and only their server is considered. */
  readonly kept: readonly ReplicaKey[]
  /** Never chosen: replicas that are being replaced, or where the version failed to load. */
  readonly excluded: ReadonlyMap<ReplicaKey, string>
  /** Considered only there. */
  readonly onServer?: string
  /** Preferred when it fits: where the version before it is, so that placements stay few. */
  readonly near: readonly ReplicaKey[]
}

export type PlacementResult =
  | {
      readonly kind: 'placed'
      readonly server: string
      readonly replicas: readonly ReplicaKey[]
      /** Given when fewer than `count` were found: why not more. */
      readonly shortfall: PlacementExplanation | undefined
    }
  | { readonly kind: 'refused'; readonly explanation: PlacementExplanation }

export type Place = (request: PlacementRequest, cluster: ClusterView) => PlacementResult

/** A filter that does not let a server or replica pass, and why, with the numbers. */
export interface FilterRefusal {
  readonly filter: string
  readonly detail: string
}

export interface ReplicaVerdict {
  readonly replica: ReplicaKey
  readonly fits: boolean
  readonly memoryBytes: number
  readonly freeMemoryBytes: number
  readonly capabilities: readonly string[]
  readonly refusals: readonly FilterRefusal[]
}

export interface ServerVerdict {
  readonly server: string
  /** How many of its replicas could be chosen. */
  readonly fitting: number
  readonly refusals: readonly FilterRefusal[]
  readonly replicas: readonly ReplicaVerdict[]
}

export type JudgeServers = (request: PlacementRequest, cluster: ClusterView) => readonly ServerVerdict[]
