import type { ServerFilter } from './filter.ts'

/** A server that is expected to have no replicas is being removed. */
export const scaledDown: ServerFilter = {
  name: 'scaled-down',
  refusal: (_, server, cluster) =>
    cluster.server(server)?.expectedReplicas === 0 ? 'is scaled to 0 replicas: raise spec.replicas' : undefined,
}
