/**
 * An Envoy without the proxy: a delta ADS client that subscribes in Envoy's order, ACKs a cluster only when it has its
 * endpoints, keeps its last good version of what it refuses, and can be told to withhold ACKs.
 */
import { type ClientDuplexStream, Client, credentials } from '@grpc/grpc-js'
import { type Kind, KINDS, kindOf, TYPE_NAMES } from '../../xds/cache/resource.ts'
import { registry } from '../../xds/proto/registry.ts'
import { DELTA_ADS_PATH } from '../../xds/server/messages.ts'
import { LISTENER_NAME, ROUTER_CONFIG_NAME, SHARD_MARK, typeUrl } from '../../xds/translate/names.ts'
import { createWaiters, type Waiters } from './waiters.ts'

export type Versions = Readonly<Record<Kind, Readonly<Record<string, string>>>>

export interface FakeEnvoyOptions {
  readonly port: number
  readonly node: string
  /** What it still has from an earlier connection. */
  readonly versions?: Versions
  /** Envoy's message when it refuses a resource. `body` is the encoded resource. */
  readonly refuse?: (kind: Kind, name: string, body: Uint8Array) => string | undefined
}

/** One response, in the order of the wire. */
export interface WireEvent {
  readonly kind: Kind
  readonly names: readonly string[]
  readonly removed: readonly string[]
}

export interface FakeEnvoy {
  readonly events: readonly WireEvent[]
  bytesReceived(): number
  versions(): Versions
  has(kind: Kind, name: string): boolean
  /** The targets of all route tables, as the node applied them. */
  targets(): readonly string[]
  /** `<address>:<port> <health>` of what a cluster has, as the node applied it. */
  endpoints(cluster: string): readonly string[]
  /** Until `release`, takes responses in without answering them. */
  withhold(): void
  release(): void
  until: Waiters['until']
  close(): void
}

interface Held {
  readonly version: string
  readonly body: Uint8Array
}

interface WireResponse {
  readonly type_url: string
  readonly nonce: string
  readonly removed_resources: readonly string[]
  readonly resources: readonly { name: string; version: string; resource: { value: Uint8Array } }[]
}

const requestType = registry.lookupType('envoy.service.discovery.v3.DeltaDiscoveryRequest')
const responseType = registry.lookupType('envoy.service.discovery.v3.DeltaDiscoveryResponse')
const endpointsType = registry.lookupType(TYPE_NAMES.EDS)
const routesType = registry.lookupType(TYPE_NAMES.RDS)

export function connectFakeEnvoy(options: FakeEnvoyOptions): FakeEnvoy {
  const waiters = createWaiters()
  const events: WireEvent[] = []
  const held = new Map<Kind, Map<string, Held>>(KINDS.map((kind) => [kind, new Map()]))
  const subscribed = new Map<Kind, Set<string>>()
  let bytes = 0
  let withheld: (() => void)[] | undefined
  let warming: { readonly names: Set<string>; readonly ack: () => void } | undefined
  const client = new Client(`127.0.0.1:${String(options.port)}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': 64 * 1024 * 1024,
  })
  const stream: ClientDuplexStream<object, WireResponse> = client.makeBidiStreamRequest(
    DELTA_ADS_PATH,
    (request: object) => Buffer.from(requestType.encode(request).finish()),
    (response: Buffer) => {
      bytes += response.length
      return responseType.decode(response) as unknown as WireResponse
    },
  )
  stream.on('error', () => undefined) // closing it is an expected ending
  stream.on('data', (response: WireResponse) => {
    if (withheld === undefined) receive(response)
    else withheld.push(() => receive(response))
  })
  let isFirst = true
  if (options.versions !== undefined) for (const kind of KINDS) subscribe(kind, Object.keys(options.versions[kind]))
  subscribe('CDS', [])

  function request(kind: Kind, fields: object): void {
    const node = isFirst ? { node: { id: options.node } } : {}
    isFirst = false
    stream.write({ ...node, type_url: typeUrl(TYPE_NAMES[kind]), ...fields })
  }

  function subscribe(kind: Kind, names: readonly string[]): void {
    const known = subscribed.get(kind)
    const fresh = names.filter((name) => known?.has(name) !== true)
    if (known !== undefined && fresh.length === 0) return
    subscribed.set(kind, new Set([...(known ?? []), ...fresh]))
    const isWildcard = kind === 'CDS' || kind === 'LDS' || kind === 'SRDS'
    request(kind, {
      resource_names_subscribe: isWildcard ? [] : fresh,
      ...(known === undefined ? { initial_resource_versions: options.versions?.[kind] ?? {} } : {}),
    })
  }

  function receive(response: WireResponse): void {
    const kind = kindOf(response.type_url)
    if (kind === undefined) throw new Error(`a response of type ${response.type_url} was not asked for`)
    const names = response.resources.map((resource) => resource.name)
    events.push({ kind, names, removed: response.removed_resources })
    const reasons: string[] = []
    for (const { name, version, resource } of response.resources) {
      const reason = options.refuse?.(kind, name, resource.value)
      if (reason === undefined) held.get(kind)?.set(name, { version, body: resource.value })
      else reasons.push(reason)
    }
    for (const name of response.removed_resources) held.get(kind)?.delete(name)
    follow(kind, names)
    const ack = (): void => {
      const refusal = reasons.length > 0 ? { error_detail: { code: 13, message: reasons.join('; ') } } : {}
      request(kind, { response_nonce: response.nonce, ...refusal })
    }
    if (kind === 'CDS' && reasons.length === 0 && names.length > 0) warming = { names: new Set(names), ack }
    else ack()
    if (kind === 'EDS' && warming !== undefined) {
      for (const name of names) warming.names.delete(name)
      if (warming.names.size === 0) {
        warming.ack()
        warming = undefined
      }
    }
    waiters.look()
  }

  /** What a resource makes Envoy ask for next. */
  function follow(kind: Kind, names: readonly string[]): void {
    const applied = names.filter((name) => held.get(kind)?.has(name))
    if (kind === 'CDS') subscribe('EDS', applied)
    if (kind === 'CDS') subscribe('LDS', [])
    if (kind === 'LDS' && applied.includes(LISTENER_NAME)) subscribe('SRDS', [])
    if (kind === 'LDS' && applied.includes(LISTENER_NAME)) subscribe('ECDS', [ROUTER_CONFIG_NAME])
    if (kind === 'SRDS') subscribe('RDS', applied)
  }

  return {
    events,
    bytesReceived: () => bytes,
    versions: () =>
      Object.fromEntries(
        KINDS.map((kind) => [
          kind,
          {
            ...options.versions?.[kind],
            ...Object.fromEntries([...(held.get(kind) ?? [])].map(([name, { version }]) => [name, version])),
          },
        ]),
      ) as Versions,
    has: (kind, name) => held.get(kind)?.has(name) === true,
    targets: () => [...(held.get('RDS')?.values() ?? [])].flatMap(({ body }) => targetsOf(body)),
    endpoints: (cluster) => {
      const body = held.get('EDS')?.get(cluster)?.body
      return body === undefined ? [] : endpointsOf(body)
    },
    withhold: () => {
      withheld ??= []
    },
    release: () => {
      const waiting = withheld ?? []
      withheld = undefined
      for (const answer of waiting) answer()
    },
    until: waiters.until,
    close: () => {
      stream.cancel()
      client.close()
    },
  }
}

interface Assignment {
  readonly endpoints: readonly {
    readonly lb_endpoints: readonly {
      readonly endpoint: { readonly address: { readonly socket_address: { address: string; port_value: number } } }
      readonly health_status: number
    }[]
  }[]
}

const HEALTHS = ['UNKNOWN', 'HEALTHY', 'UNHEALTHY', 'DRAINING']

function endpointsOf(body: Uint8Array): string[] {
  const { endpoints } = endpointsType.decode(body) as unknown as Assignment
  return endpoints.flatMap(({ lb_endpoints: hosts }) =>
    hosts.map(({ endpoint, health_status: health }) => {
      const { address, port_value: port } = endpoint.address.socket_address
      return `${address}:${String(port)} ${HEALTHS[health] ?? String(health)}`
    }),
  )
}

interface Routes {
  readonly virtual_hosts: readonly {
    readonly matcher: { readonly matcher_tree?: { readonly exact_match_map: { readonly map: object } } | null }
  }[]
}

/** The targets of one encoded route table, our own apart. */
export function targetsOf(body: Uint8Array): string[] {
  const { virtual_hosts: hosts } = routesType.decode(body) as unknown as Routes
  return hosts
    .flatMap((host) => Object.keys(host.matcher.matcher_tree?.exact_match_map.map ?? {}))
    .map((key) => key.slice(0, key.indexOf(SHARD_MARK)))
    .filter((target) => !target.startsWith('_'))
}
