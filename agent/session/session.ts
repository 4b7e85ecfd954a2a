/** Keeps one stream to the scheduler up, for ever. Its loss is logged and repaired, and changes nothing that is loaded. */
import { randomUUID } from 'node:crypto'
import type { ReplicaConfig } from '../../api/generated/millrace/agent/v1/ReplicaConfig.ts'
import { pause } from '../../kit/backoff.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { CallerSecurity } from '../../kit/grpc-security.ts'
import type { Logger } from '../../kit/log.ts'
import type { Reconciler } from '../reconcile/reconciler.ts'
import {
  type Connection,
  type ConnectionEvent,
  firstConnection,
  nextConnection,
  pauseMs,
  type SessionEnd,
} from '../../kit/scheduler-connection.ts'
import { toHello } from './messages.ts'
import { openStream, type SchedulerStream } from './stream.ts'

interface Deps {
  readonly scheduler: string
  readonly security: CallerSecurity
  readonly serverName: string
  readonly replicaIndex: number
  readonly replicaConfig: ReplicaConfig & { readonly memoryBytes: number }
  /** How long a stopping agent waits for its models to be moved away. */
  readonly drainDeadlineMs: number
  readonly reconciler: Reconciler
  readonly log: Logger
  readonly nowMs: () => number
}

/** How long a draining agent waits for a scheduler that it lost: one that starts again, or takes over, is there earlier. */
const SCHEDULER_PATIENCE_MS = 5_000

export class Session implements Running {
  readonly #deps: Deps
  readonly #sessionId = randomUUID()
  readonly #stopping = new AbortController()
  #connection: Connection
  #stream: SchedulerStream | undefined
  #onConnected: (() => void) | undefined
  #fullNeeded = false
  #toldEnd = ''
  #running: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | undefined

  constructor(deps: Deps) {
    this.#deps = deps
    this.#connection = firstConnection(deps.scheduler)
  }

  get connected(): boolean {
    return this.#connection.kind === 'Connected'
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Drains when a scheduler is there to do it; without one there is nobody to wait for. */
  stop(): Promise<void> {
    this.#stopped ??= this.#drainAndClose()
    return this.#stopped
  }

  async #drainAndClose(): Promise<void> {
    if (this.connected && this.#deps.drainDeadlineMs > 0) await this.#drain()
    this.#setState({ kind: 'stopped' })
    this.#stopping.abort()
    this.#stream?.close()
    await this.#running
  }

  /** A scheduler that is lost meanwhile is awaited, and asked again: until then its routes name this replica. */
  async #drain(): Promise<void> {
    const { drainDeadlineMs, log } = this.#deps
    log.info({ drainDeadlineMs }, 'draining')
    const done = new AbortController()
    const late = pause(drainDeadlineMs, done.signal).then(() => 'late' as const)
    try {
      for (;;) {
        const outcome = await Promise.race([this.#stream?.drain() ?? 'lost', late])
        if (outcome === 'drained') return
        const patience = pause(SCHEDULER_PATIENCE_MS, done.signal).then(() => 'late' as const)
        if (outcome === 'late' || (await Promise.race([this.#untilConnected(), late, patience])) === 'late') {
          log.warn({ drainDeadlineMs, connected: this.connected }, 'not drained in time; models stay where they are')
          return
        }
      }
    } finally {
      done.abort()
    }
  }

  #untilConnected(): Promise<'connected'> {
    return new Promise((resolve) => {
      this.#onConnected = () => {
        resolve('connected')
      }
      if (this.connected) resolve('connected')
    })
  }

  async #run(): Promise<void> {
    for (;;) {
      if (this.#connection.kind !== 'Waiting') return
      await pause(pauseMs(this.#connection.failures), this.#stopping.signal)
      this.#setState({ kind: 'waited' })
      if ((this.#connection as Connection).kind === 'Stopped') return
      await this.#connectOnce(this.#connection.address)
    }
  }

  async #connectOnce(address: string): Promise<void> {
    const { reconciler, replicaConfig, log, nowMs } = this.#deps
    const full = this.#fullNeeded
    this.#stream = openStream(address, {
      security: this.#deps.security,
      reconciler,
      hello: () => toHello({ ...this.#deps, sessionId: this.#sessionId, full }, reconciler.state),
      memoryBytes: replicaConfig.memoryBytes,
      onAnswered: () => {
        this.#setState({ kind: 'answered' })
        this.#onConnected?.()
        log.info({ scheduler: address }, 'connected to the scheduler')
      },
      log,
      nowMs,
    })
    const end = await this.#stream.ended
    this.#stream = undefined
    this.#fullNeeded = end.kind === 'outOfStep'
    this.#logEnd(address, end)
    this.#setState({ kind: 'ended', end })
  }

  /** Once for each reason, not for each try. */
  #logEnd(scheduler: string, end: SessionEnd): void {
    const told = 'reason' in end ? end.reason : end.kind
    const news = this.#connection.kind === 'Connected' || told !== this.#toldEnd
    this.#toldEnd = told
    this.#deps.log[news ? 'warn' : 'debug']({ scheduler, ...end }, 'connection to the scheduler ended')
  }

  #setState(event: ConnectionEvent): void {
    this.#connection = nextConnection(this.#connection, event, this.#deps.scheduler)
  }
}
