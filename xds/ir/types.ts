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
  readonly health: 'healthy' | 'unhealthy' | 'draining'
}

/** Endpoints that serve the same targets; becomes one cluster per protocol, shared by all routes that name it. */
export interface EndpointSetIr {
  readonly id: string
  readonly endpoints: readonly EndpointIr[]
  /** `message`: the cluster gets the upstream rename filter. `header`: the server reads `seldon-internal-model`. */
  readonly nameSource: 'message' | 'header'
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
}

/** A target that the router filter replaces by one of several targets, by weight (delivered by ECDS). */
export interface SplitIr {
  readonly target: string
  readonly candidates: readonly { readonly target: string; readonly weight: number }[]
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
