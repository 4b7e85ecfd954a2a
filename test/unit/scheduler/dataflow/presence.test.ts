import { describe, expect, it } from 'vitest'
import {
  LOST_GRACE_MS,
  neededGateways,
  planForget,
  planLost,
  planReady,
  type Presence,
} from '../../../../scheduler/dataflow/presence.ts'
import type { GatewayDocument } from '../../../../scheduler/domain/documents.ts'
import { aGateway } from '../../../support/pipelines.ts'

const NOW = 1_000_000
const lostSince = (sinceMs: number) => ({ stream: { kind: 'lost', sinceMs } as const })
function presenceOf(
  gateways: readonly GatewayDocument[],
  lacking: Readonly<Record<string, { missing: number; unanswered: number }>> = {},
): Presence {
  return {
    gateways: () => gateways,
    holdings: (name) => {
      if (gateways.find((gateway) => gateway.name === name)?.stream.kind !== 'connected') return undefined
      const { missing = 0, unanswered = 0 } = lacking[name] ?? {}
      return { missing: () => missing, unanswered: () => unanswered }
    },
    now: () => NOW,
  }
}
const readiness = (presence: Presence): Readonly<Record<string, boolean | undefined>> =>
  Object.fromEntries(
    planReady(presence).map((write) => [
      write.kind === 'gateway' ? write.name : '',
      write.kind === 'gateway' ? write.document?.ready : undefined,
    ]),
  )

describe('the records of gateways', () => {
  it('say who may be chosen, and are written only when that changes', () => {
    const fresh = aGateway('b', { ready: false })
    expect(readiness(presenceOf([aGateway('a'), fresh]))).toEqual({ b: true })
    expect(readiness(presenceOf([aGateway('a'), fresh], { b: { missing: 1, unanswered: 1 } }))).toEqual({})
    expect(readiness(presenceOf([aGateway('a'), aGateway('b')]))).toEqual({})
  })

  it('keep a lost gateway for the grace, and beyond it while nobody else is there', () => {
    const recent = aGateway('b', lostSince(NOW - LOST_GRACE_MS + 1))
    const old = aGateway('b', lostSince(NOW - LOST_GRACE_MS))
    expect(readiness(presenceOf([aGateway('a'), recent]))).toEqual({})
    expect(readiness(presenceOf([aGateway('a'), old]))).toEqual({ b: false })
    expect(readiness(presenceOf([old]))).toEqual({})
  })

  it('do not judge one that is about to stop', () => {
    const leaving = aGateway('b', { draining: true })
    expect(readiness(presenceOf([aGateway('a'), leaving], { b: { missing: 3, unanswered: 0 } }))).toEqual({})
  })

  it('go when the gateway stays away, if another answers', () => {
    const old = aGateway('b', { ...lostSince(NOW - 60_000), ready: false })
    expect(planForget(presenceOf([old]), 60_000)).toEqual([])
    expect(planForget(presenceOf([aGateway('a'), old]), 60_001)).toEqual([])
    expect(planForget(presenceOf([aGateway('a'), old]), 60_000)).toMatchObject([{ name: 'b', document: undefined }])
  })

  it('go at once when one that was about to stop is gone', () => {
    expect(planLost(aGateway('a', { draining: true }), NOW)).toMatchObject([{ document: undefined }])
    expect(planLost(aGateway('a'), NOW)).toMatchObject([{ document: { ready: true, ...lostSince(NOW) } }])
    expect(planLost(aGateway('a', lostSince(1)), NOW)).toEqual([])
    expect(planLost(undefined, NOW)).toEqual([])
  })
})

describe('the gateways that a version must be loaded on', () => {
  it('are those that Envoy may choose', () => {
    const gateways = [aGateway('b'), aGateway('a'), aGateway('c', { ready: false }), aGateway('d', { draining: true })]
    expect(neededGateways(presenceOf(gateways))).toEqual(['a', 'b'])
  })

  it('are those that are connected when none may be chosen yet', () => {
    const gateways = [aGateway('a', { ready: false }), aGateway('b', { ready: false, ...lostSince(NOW - 1) })]
    expect(neededGateways(presenceOf(gateways))).toEqual(['a'])
  })

  it('include one that was lost a moment ago, and not one that is away', () => {
    const gateways = [aGateway('a'), aGateway('b', lostSince(NOW - 1)), aGateway('c', lostSince(NOW - LOST_GRACE_MS))]
    expect(neededGateways(presenceOf(gateways))).toEqual(['a', 'b'])
    expect(neededGateways(presenceOf([aGateway('c', lostSince(NOW - LOST_GRACE_MS))]))).toEqual([])
  })
})
