/** The gateways' records: who is there, and whom Envoy may choose. Pure but for what `Presence` is asked. */
import type { GatewayDocument } from '../domain/documents.ts'
import { type GatewayProgress, readyGateways } from '../domain/pipeline/gateway-readiness.ts'
import { sameValue } from '../domain/same-value.ts'
import type { Write } from '../domain/store.ts'
import type { Holdings } from './holdings.ts'

/** So long a lost gateway stays an endpoint: its stream may only have broken, and Envoy's outlier detection covers the meantime. */
export const LOST_GRACE_MS = 3_000

export interface Presence {
  readonly gateways: () => readonly GatewayDocument[]
  /** Of a gateway that is introduced on a stream of this scheduler. */
  readonly holdings: (name: string) => Pick<Holdings, 'missing' | 'unanswered'> | undefined
  readonly now: () => number
}

/** It answers, or was there a moment ago, and is not about to stop. */
export function isExpected({ draining, stream }: GatewayDocument, nowMs: number): boolean {
  return !draining && (stream.kind === 'connected' || nowMs - stream.sinceMs < LOST_GRACE_MS)
}

/** The gateways that a version must be loaded on before it serves: those that Envoy may choose, else those that are here. */
export function neededGateways(presence: Presence): readonly string[] {
  const live = presence.gateways().filter((gateway) => isExpected(gateway, presence.now()))
  const ready = live.filter((gateway) => gateway.ready)
  const here = live.filter(({ name }) => presence.holdings(name) !== undefined)
  return (ready.length > 0 ? ready : here).map(({ name }) => name).toSorted()
}

/** Nothing when nothing changed. */
export function writeGateway(before: GatewayDocument | undefined, document: GatewayDocument): readonly Write[] {
  if (sameValue(before, document)) return []
  return [{ kind: 'gateway', name: document.name, expectedRevision: before?.revision ?? 0, document }]
}

/** What its progress makes of each gateway that is not about to stop. */
export function planReady(presence: Presence): readonly Write[] {
  const gateways = presence.gateways().filter(({ draining }) => !draining)
  const ready = readyGateways(gateways.map((gateway) => toProgress(gateway, presence)))
  return gateways.flatMap((gateway) => writeGateway(gateway, { ...gateway, ready: ready.has(gateway.name) }))
}

/** Its stream is not here any more. One that was about to stop is forgotten at once. */
export function planLost(gateway: GatewayDocument | undefined, nowMs: number): readonly Write[] {
  if (gateway?.stream.kind !== 'connected') return []
  return gateway.draining
    ? [forget(gateway)]
    : writeGateway(gateway, { ...gateway, stream: { kind: 'lost', sinceMs: nowMs } })
}

/** Those that are away for longer than the grace, while others answer. */
export function planForget(presence: Presence, forgetMs: number): readonly Write[] {
  const all = presence.gateways()
  if (!all.some(({ ready, stream }) => ready && stream.kind === 'connected')) return []
  return all
    .filter(({ stream }) => stream.kind === 'lost' && presence.now() - stream.sinceMs >= forgetMs)
    .map((gateway) => forget(gateway))
}

function toProgress(gateway: GatewayDocument, presence: Presence): GatewayProgress {
  const { name, ready } = gateway
  const holdings = presence.holdings(name)
  return {
    name,
    connected: holdings !== undefined,
    expected: isExpected(gateway, presence.now()),
    wasReady: ready,
    missing: holdings?.missing() ?? 0,
    unanswered: holdings?.unanswered() ?? 0,
  }
}

const forget = ({ name, revision }: GatewayDocument): Write => ({
  kind: 'gateway',
  name,
  expectedRevision: revision,
  document: undefined,
})
