/**
 * After a start nothing moves before a server's expected replicas are there, or the time for waiting is over: a restart of
 * the scheduler must not move models because agents have not come back yet.
 */
import type { ClusterState } from '../domain/cluster.ts'

export interface AwaitedServer {
  readonly server: string
  readonly expected: number
  readonly connected: number
}

export interface Readiness {
  readonly mayMove: (server: string) => boolean
  /** Servers that are waited for, by name. */
  readonly awaited: () => readonly AwaitedServer[]
}

export interface ReadinessDeps {
  readonly cluster: ClusterState
  readonly connectedOf: (server: string) => number
  readonly timeoutMs: number
  readonly now: () => number
}

/** The wait begins now. A server that was complete once is not waited for again. */
export function createReadiness(deps: ReadinessDeps): Readiness {
  const untilMs = deps.now() + deps.timeoutMs
  const waiting = new Map<string, number>()
  for (const server of deps.cluster.serverNames()) {
    const expected = expectedReplicas(deps.cluster, server)
    if (expected > 0) waiting.set(server, expected)
  }

  function isAwaited(server: string): boolean {
    const expected = waiting.get(server)
    if (expected === undefined) return false
    if (deps.connectedOf(server) < expected && deps.now() < untilMs) return true
    waiting.delete(server)
    return false
  }

  return {
    mayMove: (server) => !isAwaited(server),
    awaited: () =>
      [...waiting.keys()].filter(isAwaited).map((server) => ({
        server,
        expected: waiting.get(server) ?? 0,
        connected: deps.connectedOf(server),
      })),
  }
}

/** What users said; else what was there before, without replicas that went away in good order. */
function expectedReplicas(cluster: ClusterState, server: string): number {
  const said = cluster.server(server)?.expectedReplicas ?? -1
  if (said >= 0) return said
  return cluster.replicasOf(server).filter((replica) => !(replica.draining && replica.agent.kind === 'lost')).length
}

/** For people: `mlserver (1 of 2)`. */
export const describeAwaited = (awaited: readonly AwaitedServer[]): string =>
  awaited.map(({ server, expected, connected }) => `${server} (${String(connected)} of ${String(expected)})`).join(', ')
