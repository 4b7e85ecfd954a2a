/**
 * The least node that behaves like Envoy towards a session: no I/O, it takes one response at a time when told to, ACKs a
 * cluster once it has its endpoints, and throws as soon as a response would break I1.
 */
import type { Cache } from '../../xds/cache/cache.ts'
import { KINDS, type Kind, type Resource } from '../../xds/cache/resource.ts'
import type { ShardContent, ShardResource } from '../../xds/cache/route-content.ts'
import { nextResponses, type Response } from '../../xds/server/next-response.ts'
import { receiveRequest } from '../../xds/server/receive-request.ts'
import { createSession, type NodeRefusal, type Session } from '../../xds/server/session.ts'
import { clusterName, PROTOCOLS } from '../../xds/translate/names.ts'

export interface ModelNode {
  session(): Session
  /** The stream breaks; what was on the wire is lost. The node says what it has on a new one. */
  reconnect(): void
  readonly refusals: readonly NodeRefusal[]
  /** Takes what the session has to send now. */
  pump(): void
  /** Takes in the oldest response on the wire and answers it. False when there is none. */
  step(): boolean
  /** Target to the sets that its route names, as applied. */
  routes(): ReadonlyMap<string, readonly string[]>
  clusters(): readonly string[]
}

export function createModelNode(cache: Cache, isRefused: (target: string, bytes: Uint8Array) => boolean): ModelNode {
  let session = createSession(cache)
  let wire: Response[] = []
  const refusals: NodeRefusal[] = []
  const applied: Record<Kind, Map<string, Resource>> = {
    CDS: new Map(),
    EDS: new Map(),
    LDS: new Map(),
    SRDS: new Map(),
    RDS: new Map(),
    ECDS: new Map(),
  }
  /** Clusters that can take requests: while a changed one warms up, Envoy keeps using what it was. */
  const active = new Set<string>()
  /** Without a nonce: of the stream before. Then Envoy asks for no clusters until they are warm. */
  let warming: { readonly names: Set<string>; readonly nonce: string | undefined } | undefined

  function ask(kind: Kind, subscribe: readonly string[], nonce = '', refusal?: string, initialVersions = {}): void {
    const request = { subscribe, unsubscribe: [], initialVersions, nonce, refusal }
    refusals.push(...receiveRequest(session, cache, kind, request).refusals)
    pump()
  }

  function pump(): void {
    const next = nextResponses(session, cache)
    wire.push(...next.responses)
    refusals.push(...next.refusals)
  }

  function step(): boolean {
    const response = wire.shift()
    if (response === undefined) return false
    const { kind, nonce, resources, removed } = response
    const bad = kind === 'RDS' && resources.some((resource) => hasRefused((resource as ShardResource).content))
    if (kind === 'RDS') for (const resource of resources) checkMade((resource as ShardResource).content)
    if (kind === 'CDS') checkUnused(removed)
    if (!bad) for (const resource of resources) applied[kind].set(resource.name, resource)
    for (const name of removed) applied[kind].delete(name)
    if (kind === 'CDS') for (const name of removed) active.delete(name)
    const names = resources.map(({ name }) => name)
    if (kind === 'CDS' && names.length > 0) {
      warming = { names: new Set(names), nonce }
      ask(
        'EDS',
        names.filter((name) => !session.subscriptions.EDS.names.has(name)),
      )
    } else ask(kind, [], nonce, bad ? 'refused' : undefined)
    if (kind === 'EDS') warmUp([...names, ...removed]) // told that there are none, Envoy does not wait either
    return true
  }

  function warmUp(names: readonly string[]): void {
    for (const name of names) {
      if (applied.CDS.has(name)) active.add(name)
      warming?.names.delete(name)
    }
    if (warming?.names.size !== 0) return
    const { nonce } = warming
    warming = undefined
    if (nonce === undefined) askFirst('CDS')
    else ask('CDS', [], nonce)
  }

  const hasRefused = (content: ShardContent) =>
    [...content].some(([target, { route }]) => isRefused(target, route.value))

  function checkMade(content: ShardContent): void {
    for (const [target, { endpointSetIds }] of content)
      for (const name of endpointSetIds.flatMap((id) => PROTOCOLS.map((protocol) => clusterName(id, protocol))))
        if (!active.has(name)) throw new Error(`I1: a route of "${target}" names cluster ${name} before it is there`)
  }

  function checkUnused(removed: readonly string[]): void {
    for (const [target, ids] of routes())
      for (const id of ids)
        if (removed.includes(clusterName(id, 'rest')))
          throw new Error(`I1: cluster of ${id} goes while the route of "${target}" names it`)
  }

  const routes = () =>
    new Map(
      [...applied.RDS.values()].flatMap((shard) =>
        [...(shard as ShardResource).content].map(([target, route]) => [target, route.endpointSetIds] as const),
      ),
    )

  function connect(): void {
    for (const kind of KINDS) if (kind !== 'CDS' || warming === undefined) askFirst(kind)
  }

  function askFirst(kind: Kind): void {
    const versions = Object.fromEntries([...applied[kind]].map(([name, { version }]) => [name, version]))
    ask(kind, namesOf(kind), '', undefined, versions)
  }

  function namesOf(kind: Kind): readonly string[] {
    if (kind === 'EDS') return [...applied.CDS.keys()]
    return kind === 'RDS' || kind === 'ECDS' ? [...cache.names(kind)] : []
  }

  function reconnect(): void {
    session = createSession(cache)
    session.forced = true // how many may go is another test's matter
    wire = []
    if (warming !== undefined) warming = { names: warming.names, nonce: undefined }
    connect()
  }

  connect()
  return { session: () => session, reconnect, refusals, pump, step, routes, clusters: () => [...applied.CDS.keys()] }
}
