import type { ServerFilter } from './filter.ts'

/** A model that names a server goes there, shared or not; any other goes to shared servers only. */
export const pinned: ServerFilter = {
  name: 'pinned',
  refusal: ({ spec, onServer }, server, cluster) => {
    if (spec.server !== undefined)
      return spec.server === server ? undefined : `the model is pinned to server ${spec.server}`
    if (onServer === server) return undefined
    return cluster.server(server)?.shared === false ? 'takes only models that name it (shared: false)' : undefined
  },
}
