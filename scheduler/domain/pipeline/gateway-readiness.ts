/**
 * Which gateways Envoy may choose. One that has everything that serves is chosen; one that lacks something only when no other
 * has it all, and then it answers for what it lacks with an error of its own. Pure.
 */
export interface GatewayProgress {
  readonly name: string
  /** Its stream is here. */
  readonly connected: boolean
  /** Away for less than the grace: Envoy's outlier detection covers the meantime. */
  readonly expected: boolean
  readonly wasReady: boolean
  /** Serving versions that it was asked to load and has not answered for. */
  readonly unanswered: number
  /** Serving versions that it does not have, those unanswered included. */
  readonly missing: number
}

/** Names of the gateways that Envoy may choose from now on. */
export function readyGateways(gateways: readonly GatewayProgress[]): ReadonlySet<string> {
  const complete = gateways.filter(({ connected, missing }) => connected && missing === 0)
  const awaited = gateways.filter(({ connected, expected, wasReady }) => !connected && expected && wasReady)
  const best = [...complete, ...awaited]
  if (best.length > 0) return names(best)
  const answered = gateways.filter(({ connected, unanswered, wasReady }) => connected && (unanswered === 0 || wasReady))
  if (answered.length > 0) return names(answered)
  return names(gateways.filter(({ wasReady }) => wasReady)) // I4: nobody else is there, so nothing is taken away
}

const names = (gateways: readonly GatewayProgress[]): ReadonlySet<string> => new Set(gateways.map(({ name }) => name))
