/**
 * The engines, or the model gateways, of the leading scheduler: one session each, the newest of a name counts. They share the
 * units of their role; what they hold they say with each connection, so nothing of it is stored and a scheduler that starts
 * takes nothing away from anybody who is here.
 */
import type { AliveGateway } from '../../api/generated/millrace/dataflow/AliveGateway.ts'
import type { Introduction__Output } from '../../api/generated/millrace/dataflow/Introduction.ts'
import type { PipelineReport__Output } from '../../api/generated/millrace/dataflow/PipelineReport.ts'
import type { Worker } from '../../api/resources/worker.ts'
import { everyMs } from '../../kit/backoff.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { PipelineDocument } from '../domain/documents.ts'
import type { Said } from '../domain/pipeline/gateways-view.ts'
import { PeerTable } from '../grpc/peer-table.ts'
import { createHoldings, type Holdings } from './holdings.ts'
import { createSession, type Session } from './session.ts'
import { createShares, type ShareCounts } from './shares.ts'
import type { DataflowStream, Introduce, Subscriber } from './streams.ts'
import type { WorkerRole } from './worker-role.ts'

const WATCH_MS = 500
/** After a start those who are here need a moment to find this scheduler: until then nothing moves. */
const RECONNECT_ALLOWANCE_MS = 3_000

export interface WorkersDeps {
  readonly role: WorkerRole
  readonly storeId: string
  /** Undefined: not known yet, or of no use to this role. */
  readonly aliveGateways: () => readonly AliveGateway[] | undefined
  /** Something was said of these units, or others read them now. */
  readonly onSaid: (units: readonly string[]) => void
  /** The first of them came, or the last one is gone. */
  readonly onOutage: () => void
  readonly now: () => number
  readonly log: Logger
}

export interface Workers extends Running {
  readonly accept: Introduce
  /** Tells what committed changes want of them. */
  readonly push: (changes: readonly DocumentChange[]) => void
  /** The list of living gateways is another one. */
  readonly sayAlive: () => void
  /** Whether one is here, or is expected back. */
  readonly areHere: () => boolean
  /** Who reads this unit. */
  readonly readerOf: (unit: string) => string | undefined
  /** What the one that reads this pipeline said of a version of it. */
  readonly said: (pipeline: string, uid: string) => Said
  readonly count: () => number
  readonly counts: () => ShareCounts
  readonly report: () => readonly WorkerReport[]
  /** Records of a unit that are not done, as its owner last said. */
  readonly lagOf: (unit: string) => number | undefined
}

/** One of them, for people. */
export interface WorkerReport extends Omit<Worker, 'connectedSince'> {
  readonly connectedSinceMs: number
}

export const toWorker = ({ connectedSinceMs, ...worker }: WorkerReport): Worker => ({
  ...worker,
  connectedSince: new Date(connectedSinceMs).toISOString(),
})

interface Connected {
  readonly session: Session
  readonly holdings: Holdings
  readonly connectedSinceMs: number
  /** Records that are not done, by unit. */
  readonly lags: Map<string, number>
  draining: boolean
}

export function startWorkers(deps: WorkersDeps): Workers {
  const { role, now, log } = deps
  const abort = new AbortController()
  const connected = new PeerTable<string, Connected>()
  const shares = createShares()
  const startedAtMs = now()
  let settling = false
  let hadAny: boolean | undefined
  const mayMove = (): boolean => now() - startedAtMs >= RECONNECT_ALLOWANCE_MS

  const owns =
    (name: string) =>
    (unit: string): boolean =>
      shares.shareOf(name, unit) !== undefined
  const planFor =
    (name: string) =>
    (pipeline: string): PipelineDocument | undefined =>
      role.planFor(pipeline, owns(name))

  function connect(stream: DataflowStream, introduction: Introduction__Output): Connected {
    const { name, heldUnits } = introduction
    if (connected.has(name)) log.info({ worker: name }, 'a newer session of this one takes over')
    const holdings = createHoldings(introduction.held.map(({ uid }) => uid))
    const session = createSession({
      stream,
      introduction,
      holdings,
      storeId: deps.storeId,
      pipeline: planFor(name),
      units: {
        kind: role.unitKind,
        shareOf: (unit) => shares.shareOf(name, unit),
        claimed: () => shares.claimed(name),
      },
      now,
    })
    const entry: Connected = { session, holdings, connectedSinceMs: now(), lags: new Map(), draining: false }
    connected.enter(name, entry, stream, () => {
      shares.away(name, now())
      log.warn({ worker: name, units: shares.unitsOf(name).size }, entry.draining ? 'worker left' : 'worker lost')
      settleSoon()
    })
    shares.join(
      name,
      heldUnits.filter(({ kind }) => kind === role.unitKind),
    )
    begin(entry)
    return entry
  }

  /** What it has and what it shall have: everything else it says it holds is not named in Synchronised, and goes. */
  function begin({ session }: Connected): void {
    settle()
    const units = [...shares.unitsOf(session.name)]
    for (const unit of units) session.unitChanged(unit)
    const alive = deps.aliveGateways()
    if (alive !== undefined) session.sayAlive(alive)
    session.begin(new Set(units.flatMap(role.pipelinesOf)))
    log.info({ worker: session.name, units: units.length }, 'worker connected')
    if (connected.size === 1) watchOutage()
  }

  function settleSoon(): void {
    if (settling || abort.signal.aborted) return
    settling = true
    setImmediate(() => {
      settling = false
      settle()
    })
  }

  function settle(): void {
    const touched = new Set<Connected>()
    const tells = shares.settle(now(), mayMove())
    if (tells.length > 0) deps.onSaid([...new Set(tells.map(({ unit }) => unit))])
    for (const { member, unit } of tells) {
      const entry = connected.get(member)
      if (entry === undefined) continue
      touched.add(entry)
      entry.session.unitChanged(unit)
      if (shares.owner(unit) !== member) entry.lags.delete(unit)
      for (const pipeline of role.pipelinesOf(unit)) pipelineChanged(entry, pipeline)
    }
    for (const entry of connected.values()) {
      if (touched.has(entry)) entry.session.deliver()
      if (entry.draining && shares.unitsOf(entry.session.name).size === 0)
        entry.session.drained('everything that it read was handed over')
    }
  }

  function pipelineChanged({ session, holdings }: Connected, pipeline: string): void {
    session.changed(pipeline)
    holdings.follow(pipeline, planFor(session.name)(pipeline))
  }

  function push(changes: readonly DocumentChange[]): void {
    let isTouched = false
    for (const change of changes) {
      if (change.kind === role.follows) shares.want(change.name, role.isUnit(change.name))
      if (change.kind !== 'pipeline' && change.kind !== role.follows) continue
      isTouched = true
      if (change.kind !== 'pipeline') continue
      const pipelines = new Set([change.before, change.after].flatMap((document) => role.plansIn(document)))
      for (const entry of connected.values()) for (const pipeline of pipelines) pipelineChanged(entry, pipeline)
    }
    if (!isTouched) return
    settleSoon()
    for (const { session } of connected.values()) session.deliver()
  }

  function report({ session, holdings }: Connected, message: PipelineReport__Output): void {
    const { pipeline, version, uid, state, reason, mayPass } = message
    if (state === 'FAILED')
      log.warn({ worker: session.name, pipeline, version, error: reason }, 'worker refused a pipeline')
    if (state === 'LOADED') holdings.loaded(uid)
    else if (state === 'FAILED') holdings.failed(pipeline, uid, reason, now(), mayPass)
    else holdings.gone(uid)
    holdings.follow(pipeline, planFor(session.name)(pipeline))
    deps.onSaid([pipeline])
  }

  function watch(): void {
    settle()
    for (const { session, holdings } of connected.values()) {
      const due = holdings.due(now())
      for (const one of due)
        if (one.kind === 'load' && !session.loadAgain(one.pipeline, one.uid)) holdings.gone(one.uid)
      if (due.length > 0) deps.onSaid(due.map(({ pipeline }) => pipeline))
      session.deliver()
    }
    watchOutage()
  }

  const areHere = (): boolean => connected.size > 0 || !mayMove()
  function watchOutage(): void {
    const hasAny = areHere()
    if (hadAny !== hasAny && (hasAny || hadAny !== undefined || mayMove())) deps.onOutage()
    hadAny = hasAny
  }

  const toSubscriber = (entry: Connected): Subscriber => ({
    name: entry.session.name,
    report: (message) => {
      report(entry, message)
    },
    drain: () => {
      if (!entry.draining) log.info({ worker: entry.session.name }, 'worker is about to stop')
      entry.draining = true
      shares.drain(entry.session.name)
      settleSoon()
    },
    released: ({ name, generation, reason }) => {
      if (reason !== '') log.warn({ worker: entry.session.name, unit: name, error: reason }, 'worker gave a unit up')
      if (!shares.released(entry.session.name, name, generation, now())) return
      entry.session.unitReleased(name)
      settleSoon()
    },
    lags: (lags) => {
      for (const { name, records } of lags) if (owns(entry.session.name)(name)) entry.lags.set(name, records)
    },
    journal: () => undefined, // a worker's records are told of by whoever waits for them
  })

  for (const name of role.names()) shares.want(name, role.isUnit(name))
  const watching = everyMs(WATCH_MS, abort.signal, watch)
  return {
    accept: (stream, introduction) => toSubscriber(connect(stream, introduction)),
    push,
    sayAlive: () => {
      const alive = deps.aliveGateways()
      for (const { session } of alive === undefined ? [] : connected.values()) {
        if (alive !== undefined) session.sayAlive(alive)
        session.deliver()
      }
    },
    areHere,
    readerOf: shares.owner,
    said: (pipeline, uid) => {
      const owner = shares.owner(pipeline)
      const entry = owner === undefined ? undefined : connected.get(owner)
      return entry?.holdings.said(uid) ?? { kind: 'nothing' }
    },
    count: () => connected.size,
    counts: shares.counts,
    lagOf: (unit) => {
      const owner = shares.owner(unit)
      return owner === undefined ? undefined : connected.get(owner)?.lags.get(unit)
    },
    report: () =>
      [...connected.values()].map(({ session, connectedSinceMs, draining, lags }) => ({
        role: role.name,
        name: session.name,
        connectedSinceMs,
        draining,
        units: [...shares.unitsOf(session.name)].toSorted().map((name) => {
          const lagRecords = lags.get(name)
          return { name, ...(lagRecords === undefined ? {} : { lagRecords }) }
        }),
      })),
    stop: async () => {
      abort.abort()
      connected.end()
      await watching
    },
  }
}
