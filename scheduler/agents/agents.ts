/**
 * All agents of the leading scheduler: one session per server replica, the newest counts. An agent that goes away changes
 * nothing but its record; what follows from that, and when, the reconciler says.
 */
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { AgentMessage__Output } from '../../api/generated/millrace/agent/v1/AgentMessage.ts'
import type { Hello__Output } from '../../api/generated/millrace/agent/v1/Hello.ts'
import type { ClusterState } from '../domain/cluster.ts'
import { desiredChanges } from '../domain/desired.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { ReplicaKey } from '../domain/documents.ts'
import { parseInternalName, parseReplicaKey } from '../domain/names.ts'
import { acceptPeer } from '../grpc/peer-streams.ts'
import { PeerTable } from '../grpc/peer-table.ts'
import type { Writer } from '../loop/writer.ts'
import { drainEnd } from './drain.ts'
import { introduce } from './introduction.ts'
import { createKeptCopies } from './kept-copies.ts'
import type { Ledger } from './ledger.ts'
import { replicaKeyOf } from './messages.ts'
import { writeReplica } from './replica-write.ts'
import { createReporter, type Reporter } from './reporter.ts'
import { type AgentStream, createSession, type Session } from './session.ts'

const WATCH_MS = 500
/** After a start or an outage agents need a moment to find this scheduler. */
const RECONNECT_ALLOWANCE_MS = 5_000

export interface AgentsDeps {
  readonly cluster: ClusterState
  readonly storeId: string
  readonly submit: Writer['submit']
  /** Whether Envoys can check replicas that speak TLS. */
  readonly trustsTls: boolean
  readonly mayMove: (server: string) => boolean
  /** From a re-applied model's being available to the unload of its kept copies; long enough when no Envoy could be asked. */
  readonly keptDrainTimeMs: number
  readonly onConnected: (server: string) => void
  readonly now: () => number
  readonly log: Logger
}

export interface Agents extends Running {
  /** Takes a new stream; its first message is Hello. */
  readonly accept: (stream: AgentStream) => void
  /** Tells agents what committed changes want of them. */
  readonly push: (changes: readonly DocumentChange[]) => void
  readonly connectedOf: (server: string) => number
  readonly count: () => number
}

interface Connected {
  readonly session: Session
  readonly reporter: Reporter
  introduced: boolean
  draining: { readonly sinceMs: number } | undefined
}

export function startAgents(deps: AgentsDeps): Agents {
  const { cluster, log, now } = deps
  const abort = new AbortController()
  const connected = new PeerTable<ReplicaKey, Connected>()
  const ledgers = new Map<ReplicaKey, Ledger>()
  const lastSession = new Map<ReplicaKey, string>()
  const kept = createKeptCopies(deps.keptDrainTimeMs)
  const startedAtMs = now()

  function connect(stream: AgentStream, hello: Hello__Output): Connected {
    const replica = replicaKeyOf(hello, deps.trustsTls)
    if (connected.has(replica)) log.info({ replica }, 'a newer session of this agent takes over')
    const closed = new AbortController()
    const session = createSession(stream, hello, replica, ({ model, version }) => cluster.memoryBytesOf(model, version))
    const reporter = createReporter({
      replica,
      submit: deps.submit,
      cluster,
      now,
      onIntroduced: () => {
        begin(entry)
      },
      onFailed: (error) => {
        log.warn({ replica, code: error.code, error: error.message }, 'reports of an agent cannot be written')
        session.end()
      },
      signal: AbortSignal.any([closed.signal, abort.signal]),
      log: log.child({ replica }),
    })
    const entry: Connected = { session, reporter, introduced: false, draining: undefined }
    stream.on('close', () => {
      closed.abort()
    })
    connected.enter(replica, entry, stream, () => {
      log.warn({ replica }, 'agent lost')
      markLost(replica)
    })
    reporter.introduce(hello, lastSession.get(replica) === hello.sessionId)
    lastSession.set(replica, hello.sessionId)
    return entry
  }

  /** The replica and what it has are committed: it may be told what to do. */
  function begin(entry: Connected): void {
    const { replica, hello } = entry.session
    if (connected.get(replica) !== entry) return
    const desired = cluster.desiredFor(replica)
    const first = introduce({ storeId: deps.storeId, known: ledgers.get(replica), hello, desired })
    ledgers.set(replica, first.ledger)
    kept.keep(replica, first.kept)
    for (const name of first.kept) {
      const model = cluster.model(parseInternalName(name).model)
      if (model !== undefined) kept.follow(model, now()) // it was applied again under another leader
    }
    if (first.kept.length > 0)
      log.error(
        { replica, models: first.kept.slice(0, 20), count: first.kept.length },
        'agent holds models that this store does not know: kept; apply them again',
      )
    entry.introduced = true
    entry.session.begin(first.ledger, first)
    log.info({ replica, full: first.full, models: desired.length }, 'agent connected')
    deps.onConnected(parseReplicaKey(replica).server)
  }

  function push(changes: readonly DocumentChange[]): void {
    for (const change of changes) {
      if (change.kind !== 'model') continue
      const { load, unload } = desiredChanges(change.before, change.after)
      for (const { replica, desired } of load) ledgers.get(replica)?.load(desired)
      for (const { replica, internalName } of unload) ledgers.get(replica)?.unload(internalName)
      if (change.after !== undefined) kept.follow(change.after, now())
    }
    deliver()
  }

  function deliver(): void {
    for (const { session, introduced } of connected.values()) if (introduced) session.deliver()
  }

  /** The record of a replica whose agent is not here says so; repeated by `watch` until it is written. */
  function markLost(replica: ReplicaKey): void {
    const plan = () => {
      const before = cluster.replica(replica)
      if (before?.agent.kind !== 'connected' || connected.has(replica)) return { writes: [], answer: undefined }
      const document = { ...before, agent: { kind: 'lost', sinceMs: now() } as const }
      return { writes: writeReplica(before, document, now()), answer: undefined }
    }
    deps.submit({ plan }).catch((error: unknown) => {
      log.debug({ replica, error: toServingError(error).message }, 'loss of an agent not written yet')
    })
  }

  function watch(): void {
    if (now() - startedAtMs > RECONNECT_ALLOWANCE_MS)
      for (const { key, agent } of cluster.replicas())
        if (agent.kind === 'connected' && !connected.has(key)) markLost(key)
    for (const entry of connected.values()) watchDrain(entry)
    const left = kept.takeLeft(now())
    for (const { replica, name } of left) ledgers.get(replica)?.unload(name)
    if (left.length > 0) deliver()
  }

  function watchDrain(entry: Connected): void {
    const { replica } = entry.session
    if (entry.draining === undefined || cluster.replica(replica)?.draining !== true) return
    const end = drainEnd(cluster, replica, deps.mayMove, now() - entry.draining.sinceMs)
    if (end === undefined) return
    entry.draining = undefined
    log.info({ replica, reason: end }, 'replica drained')
    entry.session.drained(end)
  }

  const accept = (stream: AgentStream): void => {
    acceptPeer(stream, {
      expected: 'Hello',
      first: ({ hello }) => hello,
      connect: (hello) => connect(stream, hello),
      receive,
      nameOf: ({ session }) => session.replica,
      log,
    })
  }

  function receive(entry: Connected, { observed, health, drain }: AgentMessage__Output): void {
    if (observed) entry.reporter.observed(observed.models)
    if (health) entry.reporter.health(health)
    if (drain) {
      entry.draining = { sinceMs: now() }
      entry.reporter.drain()
    }
  }

  const watching = everyMs(WATCH_MS, abort.signal, watch)
  return {
    accept,
    push,
    connectedOf: (server) =>
      [...connected.values()].filter((entry) => entry.introduced && entry.session.hello.serverName === server).length,
    count: () => connected.size,
    stop: async () => {
      abort.abort()
      connected.end()
      await watching
    },
  }
}
