/** Keeps one stream to the scheduler up, for ever. Its loss is logged and repaired, and changes nothing that is held. */
import type { GatewayMessage } from '../../../api/generated/millrace/dataflow/GatewayMessage.ts'
import type { Introduction } from '../../../api/generated/millrace/dataflow/Introduction.ts'
import type { SchedulerMessage__Output } from '../../../api/generated/millrace/dataflow/SchedulerMessage.ts'
import { pause } from '../../../kit/backoff.ts'
import type { CallerSecurity } from '../../../kit/grpc-security.ts'
import type { Running } from '../../../kit/lifecycle.ts'
import type { Logger } from '../../../kit/log.ts'
import {
  type Connection,
  type ConnectionEvent,
  firstConnection,
  nextConnection,
  pauseMs,
  type SessionEnd,
} from '../../../kit/scheduler-connection.ts'
import { openStream, type ControlStream } from './stream.ts'

export interface SessionDeps {
  readonly scheduler: string
  readonly security: CallerSecurity
  readonly introduction: () => Introduction
  /** What the scheduler says, but for what belongs to the connection itself. */
  readonly onMessage: (message: SchedulerMessage__Output) => void
  readonly log: Logger
  readonly nowMs: () => number
}

export class ControlSession implements Running {
  readonly #deps: SessionDeps
  readonly #stopping = new AbortController()
  #connection: Connection
  #stream: ControlStream | undefined
  #toldEnd = ''
  #running: Promise<void> = Promise.resolve()

  constructor(deps: SessionDeps) {
    this.#deps = deps
    this.#connection = firstConnection(deps.scheduler)
  }

  get connected(): boolean {
    return this.#connection.kind === 'Connected'
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Lost when no scheduler is there: the next Introduction says what is held. */
  report(message: GatewayMessage): void {
    this.#stream?.send(message)
  }

  /** Asks Envoys to be led elsewhere; resolves when they are, when no scheduler is there to do it, or at the deadline. */
  async drain(deadlineMs: number): Promise<void> {
    if (!this.connected || this.#stream === undefined || deadlineMs === 0) return
    const done = new AbortController()
    await Promise.race([this.#stream.drain(), pause(deadlineMs, done.signal)])
    done.abort()
  }

  async stop(): Promise<void> {
    this.#setState({ kind: 'stopped' })
    this.#stopping.abort()
    this.#stream?.close()
    await this.#running
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
    const { security, introduction, onMessage, log, nowMs } = this.#deps
    this.#stream = openStream(address, {
      security,
      introduction: introduction(),
      onAnswered: () => {
        this.#setState({ kind: 'answered' })
        log.info({ scheduler: address }, 'connected to the scheduler')
      },
      onMessage,
      nowMs,
    })
    const end = await this.#stream.ended
    this.#stream = undefined
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
