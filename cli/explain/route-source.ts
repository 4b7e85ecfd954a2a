/** Where routes and hosts are read: of an Envoy, which is what requests meet; without one, of the scheduler's documents. */
import type { ServerReplicaStatus, StoredModel, StoredServer } from '../../api/resources/status.ts'
import { ServingError } from '../../kit/errors.ts'
import type { AdminClient } from '../client/admin-client.ts'
import type { EnvoyAdminClient } from '../client/envoy-admin-client.ts'
import {
  type Copies,
  copiesOf,
  type Destination,
  type HostState,
  hostsOf,
  routeOf,
  routerTableOf,
} from './envoy-dump.ts'
import type { Candidate } from './admission.ts'

export type Protocol = 'rest' | 'grpc'

/** A destination with the hosts of its cluster; hosts are undefined when its cluster is not known. */
export interface ServedDestination extends Omit<Destination, 'cluster'> {
  /** Undefined: only Envoy can say. */
  readonly cluster: string | undefined
  readonly hosts: readonly HostState[] | undefined
}

export type RouteState =
  | {
      readonly kind: 'destinations'
      readonly destinations: readonly ServedDestination[]
      /** Of a candidate whose experiment mirrors, when Envoy was asked. */
      readonly copies?: readonly Copies[]
    }
  | { readonly kind: 'reply'; readonly httpStatus: number }
  | { readonly kind: 'unknown' }

export interface RouteSource {
  /** For people. */
  readonly name: string
  /** The configuration of the router filter. */
  table(): Promise<string>
  /** `split`: the target whose split has sent the request there. */
  route(candidate: Candidate, protocol: Protocol, split?: string): Promise<RouteState>
}

/** @throws ServingError ENVOY_UNAVAILABLE, also by what it returns */
export function createEnvoySource(envoy: EnvoyAdminClient): RouteSource {
  return {
    name: `Envoy at ${envoy.url.host}`,
    table: async () => {
      const table = routerTableOf(await envoy.getJson('/config_dump?resource=ecds_filters'))
      if (table !== undefined) return table
      throw new ServingError(
        'ENVOY_UNAVAILABLE',
        `Envoy at ${envoy.url.host} has no router filter of ours: no scheduler has configured it`,
      )
    },
    route: async ({ shard, target }, protocol, split) => {
      const name = encodeURIComponent(`^shard-${String(shard)}$`)
      const dump = await envoy.getJson(`/config_dump?resource=dynamic_route_configs&name_regex=${name}`)
      const route = routeOf(dump, shard, target, protocol)
      if (route.kind !== 'destinations') return route
      const clusters = await envoy.getJson('/clusters?format=json')
      const destinations = route.destinations.map((one) => ({ ...one, hosts: hostsOf(clusters, one.cluster) }))
      const copies = split === undefined ? [] : copiesOf(dump, { shard, target }, protocol, split)
      return { kind: 'destinations', destinations, ...(copies.length === 0 ? {} : { copies }) }
    },
  }
}

/** What Envoy is told when it has ACKed everything. Splits and clusters are not in the documents that clients see. */
export function createDocumentSource(admin: AdminClient): RouteSource {
  return {
    name: 'the scheduler (no Envoy was asked)',
    table: () => Promise.resolve(''),
    route: async ({ target }, protocol) => {
      if (target === READY) return { kind: 'reply', httpStatus: 200 }
      const servers = (await admin.list('Server')) as readonly StoredServer[]
      if (target === MESH)
        return { kind: 'destinations', destinations: [toDestination('', allHosts(servers, protocol))] }
      const model = await findModel(admin, target)
      const version = model?.status?.servingVersion
      if (model === undefined || version === undefined) return { kind: 'unknown' }
      const hosts = hostsOfVersion(model, version, servers, protocol)
      return { kind: 'destinations', destinations: [toDestination(`${target}_${String(version)}`, hosts)] }
    },
  }
}

/** Targets that are no model: whether routes are there, and any server. */
const READY = '_ready'
const MESH = '_mesh'

const toDestination = (internalName: string, hosts: readonly HostState[]): ServedDestination => ({
  internalName,
  cluster: undefined,
  weightPercent: 100,
  hosts,
})

const replicasOf = (servers: readonly StoredServer[]): readonly ServerReplicaStatus[] =>
  servers.flatMap(({ status }) => status?.replicaStatuses ?? [])

const addressOf = ({ address, restPort, grpcPort }: ServerReplicaStatus, protocol: Protocol): string =>
  `${address}:${String(protocol === 'rest' ? restPort : grpcPort)}`

const allHosts = (servers: readonly StoredServer[], protocol: Protocol): readonly HostState[] =>
  replicasOf(servers).map((replica) => ({ address: addressOf(replica, protocol), health: replica.health }))

function hostsOfVersion(
  model: StoredModel,
  version: number,
  servers: readonly StoredServer[],
  protocol: Protocol,
): readonly HostState[] {
  const copies = model.status?.versions?.find((one) => one.version === version)?.replicas ?? []
  return copies.flatMap((copy) => {
    const server = replicasOf(servers).find(({ replica }) => replica === copy.replica)
    return server === undefined
      ? []
      : [{ address: addressOf(server, protocol), health: `${server.health}, ${copy.state}` }]
  })
}

/** Undefined when there is none of this name. */
export async function findModel(admin: AdminClient, name: string): Promise<StoredModel | undefined> {
  try {
    return (await admin.get('Model', name)).resource as StoredModel
  } catch (error) {
    if (error instanceof ServingError && error.httpStatus === 404) return undefined
    throw error
  }
}
