import type { ChangeIr, EndpointSetIr, NodeStatus, Refusal, RouteIr } from '../../xds/index.ts'
import { createXdsServer, type ListenerOptions, type XdsServer } from '../../xds/index.ts'
import { silentLogger } from '../../kit/log.ts'
import { createWaiters, type Waiters } from './waiters.ts'

export const SHARDS = 256

export const listenerOptions = (overrides: Partial<ListenerOptions> = {}): ListenerOptions => ({
  host: '127.0.0.1',
  port: 9000,
  wasmFolder: '/filters',
  router: { shards: SHARDS, maxModels: 2_000, maxRequestBytes: 100 * 1024 * 1024 },
  ...overrides,
})

export const endpointSet = (id: string, overrides: Partial<EndpointSetIr> = {}): EndpointSetIr => ({
  id,
  nameSource: 'header',
  endpoints: [{ id: `${id}/0`, address: '127.0.0.1', restPort: 9100, grpcPort: 9101, health: 'healthy' }],
  ...overrides,
})

/** A route of one model to one set, as version 1 unless told. */
export const route = (target: string, endpointSetId: string, version = 1): RouteIr => {
  const internalName = `${target}_${String(version)}`
  return {
    target,
    destinations: [{ endpointSetId, internalName, routeToken: `:${internalName}:`, weight: 1 }],
    timeoutMs: 0,
  }
}

export const change = (revision: number, parts: Partial<ChangeIr> = {}): ChangeIr => ({
  revision,
  upsertRoutes: [],
  removeTargets: [],
  upsertEndpointSets: [],
  removeEndpointSetIds: [],
  ...parts,
})

/** A listening xDS server, what it said, and a way to wait for it. */
export interface XdsScene {
  readonly xds: XdsServer
  readonly port: number
  readonly refusals: readonly Refusal[]
  node(id: string): NodeStatus | undefined
  /** Waits until a node has ACKed a revision. */
  acked(id: string, revision: number): Promise<void>
  until: Waiters['until']
  stop(): Promise<void>
}

export async function startXds(
  options: Partial<ListenerOptions> = {},
  port = 0,
  now: () => number = Date.now,
): Promise<XdsScene> {
  const waiters = createWaiters()
  const refusals: Refusal[] = []
  const xds = createXdsServer({
    log: silentLogger,
    now,
    listener: listenerOptions(options),
    events: {
      onNodes: waiters.look,
      onRefusal: (refusal) => {
        refusals.push(refusal)
        waiters.look()
      },
    },
  })
  const listening = await xds.listen('127.0.0.1', port)
  const node = (id: string) => xds.nodes().find((status) => status.node === id)
  return {
    xds,
    port: listening.port,
    refusals,
    node,
    acked: (id, revision) =>
      waiters.until(`${id} at revision ${String(revision)}`, () => (node(id)?.ackedRevision ?? -1) >= revision),
    until: waiters.until,
    stop: listening.stop,
  }
}
