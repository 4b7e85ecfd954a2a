/** Which pipeline gateways live, for those who finish what dead ones began. Pure. */
import type { AliveGateway } from '../../api/generated/millrace/dataflow/AliveGateway.ts'

/** A gateway whose stream broke may still be answering its requests for so long. */
export const ALIVE_GRACE_MS = 10_000

export interface AliveGateways {
  /** It is here; one of its name and another epoch is dead. */
  readonly came: (name: string, epoch: string) => void
  /** Its stream broke. `hasLeft`: it said before that it would stop, so it has answered everything. */
  readonly went: (name: string, hasLeft: boolean, nowMs: number) => void
  /** By name. */
  readonly list: (nowMs: number) => readonly AliveGateway[]
}

export function createAliveGateways(): AliveGateways {
  const gateways = new Map<string, { readonly epoch: string; untilMs: number }>()
  return {
    came: (name, epoch) => {
      gateways.set(name, { epoch, untilMs: Infinity })
    },
    went: (name, hasLeft, nowMs) => {
      const gateway = gateways.get(name)
      if (hasLeft) gateways.delete(name)
      else if (gateway !== undefined) gateway.untilMs = nowMs + ALIVE_GRACE_MS
    },
    list: (nowMs) => {
      for (const [name, { untilMs }] of gateways) if (nowMs >= untilMs) gateways.delete(name)
      return [...gateways].map(([name, { epoch }]) => ({ name, epoch })).toSorted((a, b) => (a.name < b.name ? -1 : 1))
    },
  }
}
