/**
 * The routing intent, without Envoy's types and without models: who is asked for (target), where its replicas are
 * (endpoint sets), and how the traffic is shared. Plain readonly data; `toX(ir)` translators turn it into resources.
 */

/** One place that answers, over REST and over gRPC. */
export interface EndpointIr {
  /** Shown in Envoy's admin as the host name: `<server>/<replica>`, or `<server>/<replica>@agent` through its agent's proxy. */
  readonly id: string
  readonly address: string
  readonly restPort: number
  readonly grpcPort: number
  /** Both ports speak TLS, checked and shown as the server's options say; absent: plain text. */
  readonly tls?: true
  readonly health: 'healthy' | 'unhealthy' | 'draining'
}

/** Endpoints that serve the same targets; becomes one cluster per protocol, shared by all routes that name it. */
export interface EndpointSetIr {
  readonly id: string
  readonly endpoints: readonly EndpointIr[]
  /** `message`: the cluster gets the upstream rename filter. `header`: the server reads `seldon-internal-model`. */
  readonly nameSource: 'message' | 'header'
  /** Takes copies only: bounded, on its own, and counted by itself. Made by the cache for what splits mirror to. */
  readonly isMirror?: boolean
}

export interface DestinationIr {
  readonly endpointSetId: string
  /** Value of `seldon-internal-model`, e.g. `iris_3`. Empty: none is set. */
  readonly internalName: string
  /** Value of the response header `x-seldon-route`, e.g. `:iris_3:`. Empty: none is set. */
  readonly routeToken: string
  /** Share of the traffic; only the ratio between the destinations matters. */
  readonly weight: number
}

/** Everything Envoy must know of one target. More than one destination only while a rollout lasts. */
export interface RouteIr {
  readonly target: string
  readonly destinations: readonly DestinationIr[]
  /** 0 = no timeout. */
  readonly timeoutMs: number
  /**
   * What may be asked of another host again, since no work was done: `unsent`, what no host got; `coded`, also what a host
   * says by our error code that it has not begun; absent: also any 404, where what answers says it of a missing model alone.
   */
  readonly retries?: 'unsent' | 'coded'
  /** Copies of what came by a split. Made by the cache, from the splits' mirrors. */
  readonly mirrors?: readonly RouteMirrorIr[]
}

/** A share of what comes to a route by one split is copied to here; the answer is dropped. */
export interface RouteMirrorIr {
  /** The split's target. */
  readonly split: string
  readonly endpointSetId: string
  /** Value of `seldon-internal-model` in the copy. */
  readonly internalName: string
  readonly percent: number
}

/**
 * A target that the router filter replaces by one of its candidates (delivered by ECDS). In this order: a candidate all of
 * whose conditions hold; one that a token of the request header `x-seldon-route` names; by the hash of the sticky header; by
 * chance. The last three share by weight, and never choose a candidate of weight 0.
 */
export interface SplitIr {
  /** What is addressed: `iris` (an experiment's default), `p.pipeline`, `e.experiment`. */
  readonly target: string
  /** The experiment's name. Stickiness is computed from it, and it labels what is measured. */
  readonly seed: string
  readonly candidates: readonly CandidateIr[]
  /** The request header, in lower case, whose value always meets the same candidate. Without it: by chance. */
  readonly stickyHeader?: string
  /** Requests, errors and durations are counted per candidate, as wasm-filter/README.md says. */
  readonly measured?: boolean
  /** Gets copies of this split's traffic, whose answers are dropped. Only targets that have a route are sent any. */
  readonly mirrors?: readonly SplitMirrorIr[]
}

export interface CandidateIr {
  readonly target: string
  /** 0 to 1,000,000; not all of a split's may be 0. */
  readonly weight: number
  /** All of them must hold; none: only weights decide. The first candidate whose conditions hold gets the request. */
  readonly match?: readonly HeaderMatchIr[]
}

/** A condition on a request header, named in lower case. Of several values one is enough. */
export type HeaderMatchIr =
  | { readonly header: string; readonly exact: string }
  | { readonly header: string; readonly prefix: string }
  | { readonly header: string; readonly present: true }

export interface SplitMirrorIr {
  readonly target: string
  /** 0.0001 to 100, in steps of 0.0001. */
  readonly percent: number
}

/** What changed, at most once per key. Its cost is what it holds, never what stands. */
export interface ChangeIr {
  /** Grows; a node that has ACKed everything of a change is at this revision. */
  readonly revision: number
  readonly upsertRoutes: readonly RouteIr[]
  readonly removeTargets: readonly string[]
  readonly upsertEndpointSets: readonly EndpointSetIr[]
  readonly removeEndpointSetIds: readonly string[]
  /** Given when the table of splits changed: the whole table. */
  readonly splits?: readonly SplitIr[]
}
