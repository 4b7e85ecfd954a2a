/**
 * Which pipeline gateways live, as far as is known: what the scheduler last said, while it is connected. A gateway that the
 * scheduler does not name counts as gone only after a grace, as it may have come just now. Pure but for the clock it is given.
 */
export interface GatewaysAlive {
  /** All that live; each `<name>/<epoch>`. */
  readonly told: (gateways: readonly string[]) => void
  /** Another stream began: it says anew who lives. */
  readonly forget: () => void
  /** To be called every second or so. */
  readonly tick: () => void
  /** False while no scheduler says who lives. */
  readonly isKnown: () => boolean
  /** Undefined: not known, or not yet for sure: ask again. */
  readonly isAlive: (gateway: string) => boolean | undefined
  /** Until when it was known who lives, before what is known now: what a gateway began later it may not have ended. */
  readonly sureUntilMs: () => number
}

export const GRACE_MS = 10_000
/** Marks that are remembered while it is not sure that they are gone. */
const MAX_MISSED = 1_000

export function createGatewaysAlive(nowMs: () => number, isConnected: () => boolean): GatewaysAlive {
  let alive: ReadonlySet<string> | undefined
  /** When a gateway was first asked for and not among those that live. */
  const missedSince = new Map<string, number>()
  let connectedMs = nowMs()
  let sureUntilMs = connectedMs
  return {
    told: (gateways) => {
      sureUntilMs = connectedMs
      alive = new Set(gateways)
      for (const gateway of alive) missedSince.delete(gateway)
    },
    forget: () => {
      alive = undefined
      missedSince.clear()
    },
    tick: () => {
      if (alive !== undefined && isConnected()) connectedMs = nowMs()
    },
    isKnown: () => alive !== undefined && isConnected(),
    isAlive: (gateway) => {
      if (alive === undefined || !isConnected()) return undefined
      if (alive.has(gateway)) return true
      const since = missedSince.get(gateway)
      if (since !== undefined) return nowMs() - since < GRACE_MS ? undefined : false
      if (missedSince.size < MAX_MISSED) missedSince.set(gateway, nowMs())
      return undefined
    },
    sureUntilMs: () => sureUntilMs,
  }
}
