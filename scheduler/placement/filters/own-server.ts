import type { ServerFilter } from './filter.ts'

/** One version never spans servers: more replicas go where the others are. */
export const ownServer: ServerFilter = {
  name: 'own-server',
  refusal: ({ onServer }, server) =>
    onServer === undefined || onServer === server ? undefined : `the version's other replicas are on ${onServer}`,
}
