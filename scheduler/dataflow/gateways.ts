/**
 * All pipeline gateways of the leading scheduler: one session each, the newest of a name counts. A gateway that goes away
 * changes nothing but its record; Envoy stops choosing it when it stays away and another one can answer.
 *
 * I6: who the gateways are is stored, as observed state, so any scheduler knows the same endpoints; what they hold they say
 * again with each connection.
 */
import type { AliveGateway } from '../../api/generated/millrace/dataflow/AliveGateway.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { JournalReport__Output } from '../../api/generated/millrace/dataflow/JournalReport.ts'
import type { PipelineReport__Output } from '../../api/generated/millrace/dataflow/PipelineReport.ts'
import { everyMs } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { ClusterState } from '../domain/cluster.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { GatewayDocument } from '../domain/documents.ts'
import type { DependentKey } from '../domain/index/dependents.ts'
import { heldVersions } from '../domain/pipeline/facts.ts'
import type { GatewaysView } from '../domain/pipeline/gateways-view.ts'
import { sameValue } from '../domain/same-value.ts'
import type { Write } from '../domain/store.ts'
import { PeerTable } from '../grpc/peer-table.ts'
import type { Writer } from '../loop/writer.ts'
import { createAliveGateways } from './alive.ts'
import { createHoldings, type Holdings } from './holdings.ts'
import { toGatewayDocument } from './messages.ts'
import { neededGateways, planForget, planLost, planReady, type Presence, writeGateway } from './presence.ts'
import { createSession, type Session } from './session.ts'
import type { DataflowStream, Introduce } from './streams.ts'
import type { WorkerReport } from './workers.ts'

const WATCH_MS = 500
/** After a start or an outage gateways need a moment to find this scheduler. */
const RECONNECT_ALLOWANCE_MS = 5_000
/** Longer: whoever is not among the living has its requests ended by others. */
const ALIVE_ALLOWANCE_MS = 15_000
/** After this a gateway is let go, whatever Envoys say: whoever stops it has a deadline too. */
const DRAIN_DEADLINE_MS = 60_000

export interface GatewaysDeps {
  readonly cluster: ClusterState
  readonly storeId: string
  readonly submit: Writer['submit']
  readonly isAcked: (revision: number) => boolean | 'no-node'
  readonly drainTimeMs: number
  /** How long a gateway may be away before its record goes. */
  readonly forgetMs: number
  /** Something was said that these pipelines may wait for. */
  readonly onSaid: (pipelines: Iterable<DependentKey>) => void
  /** The first gateway came, the last one is gone, or how they journal is another matter now. */
  readonly onOutage: () => void
  /** What `alive` answers is another list now. */
  readonly onAlive: () => void
  readonly now: () => number
  readonly log: Logger
}

export interface Gateways extends Running {
  readonly accept: Introduce
  /** Tells gateways what committed changes want of them. */
  readonly push: (changes: readonly DocumentChange[]) => void
  readonly view: GatewaysView
  /** Those that live; undefined while this scheduler gives them time to find it. */
  readonly alive: () => readonly AliveGateway[] | undefined
  readonly count: () => number
  readonly report: () => readonly WorkerReport[]
}

interface Connected {
  readonly session: Session
  readonly holdings: Holdings
  introduced: boolean
  readonly connectedSinceMs: number
  /** What is wrong with its journal; undefined: it has none, or has not said. */
  journalRemark: string | undefined
  draining: { readonly sinceMs: number; ackedAtMs: number | undefined } | undefined
}

export function startGateways(deps: GatewaysDeps): Gateways {
  const { cluster, log, now } = deps
  const abort = new AbortController()
  const connected = new PeerTable<string, Connected>()
  const living = createAliveGateways()
  const startedAtMs = now()
  let toldAlive: readonly AliveGateway[] | undefined
  let judging = false
  let hadAny: boolean | undefined

  const alive = (): readonly AliveGateway[] | undefined =>
    now() - startedAtMs > ALIVE_ALLOWANCE_MS ? living.list(now()) : undefined

  function introducedOf(name: string): Holdings | undefined {
    const entry = connected.get(name)
    return entry?.introduced === true ? entry.holdings : undefined
  }
  const presence: Presence = {
    gateways: () => [...cluster.gateways()],
    holdings: introducedOf,
    now,
  }
  const write = (plan: () => readonly Write[]): void => {
    deps.submit({ plan: () => ({ writes: plan(), answer: undefined }) }).catch((error: unknown) => {
      log.debug({ error: toServingError(error).message }, 'record of a gateway not written yet')
    })
  }
  const lost = (name: string): readonly Write[] => (connected.has(name) ? [] : planLost(cluster.gateway(name), now()))
  /** At the end of this turn, so many reports at once are judged once; `watch` repeats it until it is written. */
  const judgeSoon = (): void => {
    if (judging || abort.signal.aborted) return
    judging = true
    setImmediate(() => {
      judging = false
      if (planReady(presence).length > 0) write(() => planReady(presence))
    })
  }

  function connect(stream: DataflowStream, introduction: Introduction__Output): Connected {
    const { name } = introduction
    if (connected.has(name)) log.info({ gateway: name }, 'a newer session of this gateway takes over')
    const holdings = createHoldings(introduction.held.map(({ uid }) => uid))
    const session = createSession({
      stream,
      introduction,
      holdings,
      storeId: deps.storeId,
      pipeline: cluster.pipeline,
      now,
    })
    const entry: Connected = {
      session,
      holdings,
      introduced: false,
      connectedSinceMs: now(),
      journalRemark: introduction.journal?.remark,
      draining: undefined,
    }
    living.came(name, introduction.epoch)
    connected.enter(name, entry, stream, () => {
      living.went(name, entry.draining !== undefined, now())
      log.warn({ gateway: name }, entry.draining === undefined ? 'gateway lost' : 'gateway left')
      write(() => lost(name))
    })
    introduce(entry, introduction)
    return entry
  }

  /** It may be told what to do once its record is committed: what is decided from it then holds for every scheduler. */
  function introduce(entry: Connected, introduction: Introduction__Output): void {
    const { session, holdings } = entry
    for (const pipeline of cluster.pipelines()) holdings.follow(pipeline.name, pipeline)
    const plan = () => {
      const before = cluster.gateway(session.name)
      const ready = before?.ready === true && holdings.missing() === 0 // else it is judged once it is introduced
      return { writes: writeGateway(before, toGatewayDocument(introduction, before, ready)), answer: undefined }
    }
    deps.submit({ plan, onCommitted: () => begin(entry) }).catch((error: unknown) => {
      log.warn({ gateway: session.name, error: toServingError(error).message }, 'a gateway cannot be introduced')
      session.end() // it comes again
    })
  }

  function begin(entry: Connected): void {
    const { session, holdings } = entry
    if (connected.get(session.name) !== entry) return
    entry.introduced = true
    for (const pipeline of cluster.pipelines()) holdings.follow(pipeline.name, pipeline)
    session.begin([...cluster.pipelines()].map(({ name }) => name))
    log.info({ gateway: session.name, missing: holdings.missing() }, 'gateway connected')
    deps.onSaid(cluster.pendingPipelines())
    judgeSoon()
  }

  function push(changes: readonly DocumentChange[]): void {
    for (const change of changes) {
      if (change.kind === 'gateway') {
        sayWhoIsChosen(change.before, change.after)
        if (change.before?.journalUnreplicated !== change.after?.journalUnreplicated) deps.onOutage()
      }
      if (change.kind !== 'pipeline') continue
      for (const { session, holdings } of connected.values()) {
        session.changed(change.name)
        holdings.follow(change.name, change.after)
      }
    }
    for (const { session } of connected.values()) session.deliver()
    if (changes.some(({ kind }) => kind === 'pipeline' || kind === 'gateway')) judgeSoon()
  }

  function sayWhoIsChosen(before: GatewayDocument | undefined, after: GatewayDocument | undefined): void {
    if (after === undefined || (before?.ready ?? false) === after.ready) return
    const missing = introducedOf(after.name)?.missing() ?? 0
    if (after.ready) log.info({ gateway: after.name, missing }, 'Envoys may choose this gateway')
    else log.warn({ gateway: after.name, missing }, 'Envoys pass this gateway over: another one has what it lacks')
  }

  function report({ session, holdings }: Connected, message: PipelineReport__Output): void {
    const { pipeline, version, uid, state, reason, mayPass } = message
    if (state === 'FAILED')
      log.warn({ gateway: session.name, pipeline, version, error: reason }, 'gateway refused a pipeline')
    const failure = state === 'FAILED' ? reason : undefined
    const isOfUnload = state !== 'LOADED' && holdings.unloaded(pipeline, version, failure, now())
    const document = cluster.pipeline(pipeline)
    const isWanted = document !== undefined && heldVersions(document).some((one) => one.uid === uid)
    if (!isOfUnload && isWanted) {
      if (state === 'LOADED') holdings.loaded(uid)
      else holdings.failed(pipeline, uid, state === 'FAILED' ? reason : 'it let the version go', now(), mayPass)
      holdings.follow(pipeline, document)
    }
    deps.onSaid([`pipeline/${pipeline}`])
    judgeSoon()
  }

  function takeJournal(entry: Connected, { unreplicated, remark }: JournalReport__Output): void {
    entry.journalRemark = remark
    write(() => {
      const before = cluster.gateway(entry.session.name)
      if (before === undefined) return []
      const { journalUnreplicated: _, ...rest } = before
      return writeGateway(before, unreplicated ? { ...rest, journalUnreplicated: true } : rest)
    })
  }

  function drain(entry: Connected): void {
    const { name } = entry.session
    entry.draining = { sinceMs: now(), ackedAtMs: undefined }
    write(() => {
      const before = cluster.gateway(name)
      return before === undefined ? [] : writeGateway(before, { ...before, draining: true })
    })
  }

  function watch(): void {
    const nowMs = now()
    for (const { name, stream } of cluster.gateways()) {
      if (stream.kind === 'connected' && !connected.has(name) && nowMs - startedAtMs > RECONNECT_ALLOWANCE_MS)
        write(() => lost(name))
    }
    const gone = planForget(presence, deps.forgetMs)
    if (gone.length > 0) write(() => planForget(presence, deps.forgetMs))
    for (const entry of connected.values()) {
      watchLoads(entry, nowMs)
      watchDrain(entry, nowMs)
    }
    judgeSoon()
    watchOutage()
    watchAlive()
  }

  function watchAlive(): void {
    const list = alive()
    if (list === undefined || sameValue(list, toldAlive)) return
    toldAlive = list
    deps.onAlive()
  }

  function watchLoads({ session, holdings }: Connected, nowMs: number): void {
    const due = holdings.due(nowMs)
    for (const one of due) {
      if (one.kind === 'load' && !session.loadAgain(one.pipeline, one.uid)) holdings.gone(one.uid)
      if (one.kind === 'unload') session.unloadAgain(one.pipeline)
      holdings.follow(one.pipeline, cluster.pipeline(one.pipeline))
    }
    if (due.length === 0) return
    session.deliver()
    deps.onSaid(due.map(({ pipeline }): DependentKey => `pipeline/${pipeline}`))
  }

  /** No Envoy sends it new requests once its endpoint's change is ACKed and followed. */
  function watchDrain({ session, draining }: Connected, nowMs: number): void {
    const gateway = cluster.gateway(session.name)
    if (draining === undefined || gateway?.draining !== true) return
    if (deps.isAcked(gateway.revision) !== false) draining.ackedAtMs ??= nowMs
    const isOver = draining.ackedAtMs !== undefined && nowMs - draining.ackedAtMs >= deps.drainTimeMs
    if (isOver) session.drained('no Envoy sends it new requests')
    else if (nowMs - draining.sinceMs >= DRAIN_DEADLINE_MS) session.drained('not every Envoy has answered in time')
  }

  function watchOutage(): void {
    const hasAny = view.needed().length > 0
    if (hadAny !== undefined && hadAny !== hasAny) deps.onOutage()
    if (hasAny || now() - startedAtMs > RECONNECT_ALLOWANCE_MS) hadAny = hasAny
  }

  const view: GatewaysView = {
    needed: () => neededGateways(presence),
    said: (gateway, uid) => introducedOf(gateway)?.said(uid) ?? { kind: 'nothing' },
    unloads: (pipeline, step) =>
      [...connected.values()]
        .filter((entry) => entry.introduced)
        .map(({ session, holdings }) => ({ gateway: session.name, ...holdings.unload(pipeline, step) })),
    journal: () => {
      const journals = [...cluster.gateways()].filter(({ hasJournal }) => hasJournal)
      if (journals.length === 0) return 'none'
      return journals.some(({ journalUnreplicated }) => journalUnreplicated) ? 'one copy' : 'kept'
    },
  }

  const accept: Introduce = (stream, introduction) => {
    const entry = connect(stream, introduction)
    return {
      name: entry.session.name,
      report: (message) => {
        report(entry, message)
      },
      drain: () => {
        drain(entry)
      },
      released: () => undefined, // it has no units
      lags: () => undefined,
      journal: (said) => {
        takeJournal(entry, said)
      },
    }
  }

  const watching = everyMs(WATCH_MS, abort.signal, watch)
  return {
    accept,
    push,
    view,
    alive,
    count: () => connected.size,
    report: () =>
      [...connected.values()].map(({ session, holdings, connectedSinceMs, draining, journalRemark }) => ({
        role: 'pipeline-gateway',
        name: session.name,
        connectedSinceMs,
        draining: draining !== undefined,
        units: [...cluster.pipelines()]
          .filter((pipeline) => heldVersions(pipeline).some(({ uid }) => holdings.said(uid).kind === 'loaded'))
          .map(({ name }) => name)
          .toSorted()
          .map((name) => ({ name })),
        ...(journalRemark === undefined ? {} : { journalRemark }),
      })),
    stop: async () => {
      abort.abort()
      connected.end()
      await watching
    },
  }
}
