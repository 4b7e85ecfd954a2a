/**
 * Tells "agent lost" and "server down" apart: a server whose agent is away is asked whether it is ready. This only ever
 * finds a server down; that it serves again its agent says, when it has loaded its models.
 */
import { connect } from 'node:net'
import { everyMs } from '../../kit/backoff.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { ReplicaDocument, ReplicaKey } from '../domain/documents.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Writer } from '../loop/writer.ts'
import { writeReplica } from './replica-write.ts'

const INTERVAL_MS = 1_000
const TIMEOUT_MS = 900
/** A slow answer may be an inference; a refused connection is certain at once. */
const SLOW_ANSWERS_UNTIL_DOWN = 3
const CONCURRENT_PROBES = 32

export type ProbeResult =
  { readonly kind: 'ready' } | { readonly kind: 'slow' } | { readonly kind: 'down'; readonly reason: string }

export interface ProberDeps {
  readonly cluster: ClusterState
  readonly submit: Writer['submit']
  readonly probe: (replica: ReplicaDocument) => Promise<ProbeResult>
  readonly now: () => number
  readonly log: Logger
}

export function startProber(deps: ProberDeps): Running {
  const abort = new AbortController()
  const slow = new Map<ReplicaKey, number>()

  async function probeOne(replica: ReplicaDocument): Promise<void> {
    const result = await deps.probe(replica)
    const slowAnswers = result.kind === 'slow' ? (slow.get(replica.key) ?? 0) + 1 : 0
    slow.set(replica.key, slowAnswers)
    if (result.kind === 'down') await markDown(replica.key, result.reason)
    else if (slowAnswers >= SLOW_ANSWERS_UNTIL_DOWN) await markDown(replica.key, 'does not answer')
  }

  async function markDown(key: ReplicaKey, reason: string): Promise<void> {
    const plan = () => {
      const before = deps.cluster.replica(key)
      if (before === undefined || before.agent.kind === 'connected' || before.health.kind === 'down')
        return { writes: [], answer: undefined }
      const document = { ...before, health: { kind: 'down', sinceMs: deps.now(), reason } as const }
      return { writes: writeReplica(before, document, deps.now()), answer: undefined }
    }
    await deps.submit({ plan }).catch((error: unknown) => {
      deps.log.debug({ replica: key, error: toServingError(error).message }, 'server down not written yet')
    })
  }

  const probing = everyMs(INTERVAL_MS, abort.signal, async () => {
    const orphans = [...deps.cluster.replicas()].filter(
      (replica) => replica.agent.kind === 'lost' && replica.health.kind !== 'down',
    )
    for (let first = 0; first < orphans.length && !abort.signal.aborted; first += CONCURRENT_PROBES)
      await Promise.all(orphans.slice(first, first + CONCURRENT_PROBES).map(probeOne))
  })
  return {
    stop: async () => {
      abort.abort()
      await probing
    },
  }
}

/** GET /v2/health/ready of the server itself; of one that wants certificates only whether it takes connections. */
export async function probeReadiness(replica: ReplicaDocument): Promise<ProbeResult> {
  if (replica.tls === true) return probeConnection(replica)
  const url = `http://${replica.address}:${String(replica.restPort)}/v2/health/ready`
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    await response.body?.cancel()
    return response.ok ? { kind: 'ready' } : { kind: 'down', reason: `answers ${String(response.status)}` }
  } catch (error) {
    if (error instanceof Error && error.name === 'TimeoutError') return { kind: 'slow' }
    return { kind: 'down', reason: 'cannot be reached' }
  }
}

function probeConnection({ address, restPort }: ReplicaDocument): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port: restPort, timeout: TIMEOUT_MS })
    const finish = (result: ProbeResult): void => {
      socket.destroy()
      resolve(result)
    }
    socket.once('connect', () => {
      finish({ kind: 'ready' })
    })
    socket.once('timeout', () => {
      finish({ kind: 'slow' })
    })
    socket.once('error', () => {
      finish({ kind: 'down', reason: 'cannot be reached' })
    })
  })
}
