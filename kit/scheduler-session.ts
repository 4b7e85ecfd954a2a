/** Keeps one stream to the scheduler up, for ever. Its loss is logged and repaired, and changes nothing that is held. */
import { pause } from './backoff.ts'
import type { Running } from './lifecycle.ts'
import type { Logger } from './log.ts'
import {
  type Connection,
  type ConnectionEvent,
  firstConnection,
  nextConnection,
  pauseMs,
  type SessionEnd,
} from './scheduler-connection.ts'
import { type FromScheduler, openStream, type SchedulerStream, type StreamDeps } from './scheduler-stream.ts'

export interface SessionDeps<Up, Down extends FromScheduler> extends Pick<
  StreamDeps<Up, Down>,
  'draining' | 'follow' | 'onMessage' | 'nowMs'
> {
  /** The configured address: where to begin, and where to go when the one we were sent to fails. */
  readonly scheduler: string
  readonly open: (
    address: string,
    ...rest: Parameters<StreamDeps<Up, Down>['open']>
  ) => ReturnType<StreamDeps<Up, Down>['open']>
  /** The first message of each stream; `before` is how the one before it ended. */
  readonly hello: (before: SessionEnd | undefined) => Up
  readonly log: Logger
}

/** How long one that drains waits for a scheduler that it lost: one that starts again, or takes over, is there earlier. */
const SCHEDULER_PATIENCE_MS = 5_000

export class SchedulerSession<Up, Down extends FromScheduler> implements Running {
  readonly #deps: SessionDeps<Up, Down>
  readonly #stopping = new AbortController()
  #connection: Connection
  #stream: SchedulerStream<Up> | undefined
  #onConnected: (() => void) | undefined
  #lastEnd: SessionEnd | undefined
  #toldEnd = ''
  #running: Promise<void> = Promise.resolve()

  constructor(deps: SessionDeps<Up, Down>) {
    this.#deps = deps
    this.#connection = firstConnection(deps.scheduler)
  }

  get connected(): boolean {
    return this.#connection.kind === 'Connected'
  }

  start(): void {
    this.#running = this.#run()
  }

  /** Lost when no scheduler is there: the next first message says what is held. */
  send(message: Up): void {
    this.#stream?.send(message)
  }

  /**
   * Asks for the work of this process to be led elsewhere; resolves when it is, or at the deadline. Without a scheduler there
   * is nobody to wait for; one that is lost meanwhile is awaited, and asked again: until then Envoys are led here.
   */
  async drain(deadlineMs: number): Promise<void> {
    if (!this.connected || deadlineMs === 0) return
    const { log } = this.#deps
    log.info({ deadlineMs }, 'draining')
    const done = new AbortController()
    const late = pause(deadlineMs, done.signal).then(() => 'late' as const)
    try {
      for (;;) {
        const outcome = await Promise.race([this.#stream?.drain() ?? 'lost', late])
        if (outcome === 'drained') return
        const patience = pause(SCHEDULER_PATIENCE_MS, done.signal).then(() => 'late' as const)
        if (outcome === 'late' || (await Promise.race([this.#untilConnected(), late, patience])) === 'late') {
          log.warn({ deadlineMs, connected: this.connected }, 'not drained in time')
          return
        }
      }
    } finally {
      done.abort()
    }
  }

  async stop(): Promise<void> {
    this.#setState({ kind: 'stopped' })
    this.#stopping.abort()
    this.#stream?.close()
    await this.#running
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
    const { open, hello, log, ...deps } = this.#deps
    this.#stream = openStream({
      ...deps,
      open: (options) => open(address, options),
      hello: hello(this.#lastEnd),
      onAnswered: () => {
        this.#setState({ kind: 'answered' })
        this.#onConnected?.()
        log.info({ scheduler: address }, 'connected to the scheduler')
      },
    })
    const end = await this.#stream.ended
    this.#stream = undefined
    this.#lastEnd = end
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
