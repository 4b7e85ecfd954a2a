import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync } from 'node:fs'
import { join } from 'node:path'
import { pause } from '../../kit/backoff.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { lastError, logSize, logTail, openLog } from './log-file.ts'
import { forgetPid, rememberPid } from './pid-files.ts'
import { waitReady } from './readiness.ts'
import { planRestart } from './restart-policy.ts'
import type { ProcessSpec } from './spec.ts'

export type ChildEvent =
  | { readonly kind: 'ready'; readonly name: string; readonly pid: number; readonly again: boolean }
  | { readonly kind: 'died'; readonly name: string; readonly end: string; readonly restartInMs: number }
  | { readonly kind: 'late'; readonly name: string; readonly reason: string }

export interface ChildDeps {
  readonly logsDir: string
  readonly pidsDir: string
  readonly onEvent: (event: ChildEvent) => void
  /** Whether the child of this name is started again when it dies after it was ready once. */
  readonly restarts: (name: string) => boolean
}

export interface Child extends Running {
  readonly spec: ProcessSpec
  readonly logPath: string
  /** Undefined while it does not run. */
  readonly pid: number | undefined
  /** Resolves when it serves. @throws ServingError PROCESS_FAILED with its last error or log lines, CANCELLED when stopped */
  start(): Promise<void>
  /** Sends a signal to its process group; false when it does not run. */
  signal(signal: NodeJS.Signals): boolean
  /** Resolves when the process that runs now has ended; at once when none runs. */
  exited(): Promise<void>
  /** SIGTERM, then SIGKILL after `withinMs`, by default the spec's. It is not started again until `start`. */
  stop(withinMs?: number): Promise<void>
}

interface Incarnation {
  readonly process: ChildProcess
  readonly startedAt: number
  /** Where its own lines begin in the log. */
  readonly logStart: number
  /** How it ended, for people; never rejects. */
  readonly end: Promise<string>
}

export function createChild(spec: ProcessSpec, deps: ChildDeps): Child {
  return new SupervisedChild(spec, deps)
}

class SupervisedChild implements Child {
  readonly spec: ProcessSpec
  readonly logPath: string
  readonly #deps: ChildDeps
  #current: Incarnation | undefined
  #stopping = new AbortController()
  #supervision: Promise<void> = Promise.resolve()

  constructor(spec: ProcessSpec, deps: ChildDeps) {
    this.spec = spec
    this.#deps = deps
    this.logPath = join(deps.logsDir, `${spec.name}.log`)
  }

  get pid(): number | undefined {
    return this.#current?.process.pid
  }

  async start(): Promise<void> {
    if (this.#current !== undefined) throw new ServingError('INVARIANT_BROKEN', `${this.spec.name} already runs`)
    if (this.#stopping.signal.aborted) this.#stopping = new AbortController()
    const incarnation = this.#launch()
    await this.#becomeReady(incarnation, false)
    if (this.#deps.restarts(this.spec.name)) this.#supervision = this.#supervise(incarnation, this.#stopping.signal)
  }

  signal(signal: NodeJS.Signals): boolean {
    if (this.pid === undefined) return false
    try {
      return process.kill(-this.pid, signal)
    } catch {
      return false // it ended in this moment
    }
  }

  async exited(): Promise<void> {
    await this.#current?.end
  }

  async stop(withinMs: number = this.spec.stopTimeoutMs): Promise<void> {
    this.#stopping.abort()
    await this.#supervision
    const incarnation = this.#current
    if (incarnation === undefined) return
    this.signal('SIGTERM')
    this.signal('SIGCONT') // a stopped process would not hear it
    const force = setTimeout(() => {
      this.signal('SIGKILL')
    }, withinMs)
    await incarnation.end
    clearTimeout(force)
  }

  #launch(): Incarnation {
    const logStart = logSize(this.logPath)
    const log = openLog(this.logPath)
    // Its own process group: a Ctrl-C at the terminal reaches us alone, and we decide the order in which things stop.
    const child = spawn(this.spec.command, this.spec.args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...this.spec.environment },
    })
    closeSync(log)
    if (child.pid !== undefined) rememberPid(this.#deps.pidsDir, this.spec.name, child.pid)
    const end = new Promise<string>((resolve) => {
      child.once('error', (error) => {
        resolve(`could not be run: ${error.message}`)
      })
      child.once('exit', (status, signal) => {
        resolve(signal === null ? `ended with exit status ${String(status)}` : `was ended by ${signal}`)
      })
    })
    const incarnation = { process: child, startedAt: performance.now(), logStart, end }
    this.#current = incarnation
    void end.then(() => {
      this.#current = undefined
      forgetPid(this.#deps.pidsDir, this.spec.name)
    })
    return incarnation
  }

  async #becomeReady(incarnation: Incarnation, again: boolean): Promise<void> {
    const probing = new AbortController()
    const ready = waitReady(
      this.spec.readiness,
      this.spec.readyTimeoutMs,
      AbortSignal.any([probing.signal, this.#stopping.signal]),
    )
    const outcome = await Promise.race([ready, incarnation.end.then((end) => ({ end }))])
    probing.abort()
    if (outcome === 'ready') {
      const { pid } = incarnation.process
      if (pid !== undefined) this.#deps.onEvent({ kind: 'ready', name: this.spec.name, pid, again })
      return
    }
    if (outcome === 'aborted' || this.#stopping.signal.aborted)
      throw new ServingError('CANCELLED', `stopped while ${this.spec.name} was starting`)
    const what = outcome === 'late' ? `was not ready within ${String(this.spec.readyTimeoutMs / 1000)} s` : outcome.end
    const error = lastError(this.logPath, incarnation.logStart)
    throw new ServingError(
      'PROCESS_FAILED',
      error === undefined
        ? `${this.spec.name} ${what}. Its last log lines (${this.logPath}):\n${logTail(this.logPath, incarnation.logStart)}`
        : `${this.spec.name} ${what}: ${error} (log: ${this.logPath})`,
    )
  }

  async #supervise(first: Incarnation, stopping: AbortSignal): Promise<void> {
    const stopped = new Promise<undefined>((resolve) => {
      stopping.addEventListener('abort', () => {
        resolve(undefined)
      })
    })
    let attempt = 0
    for (let incarnation = first; ;) {
      const end = await Promise.race([incarnation.end, stopped])
      if (end === undefined || stopping.aborted) return
      const restart = planRestart(attempt, performance.now() - incarnation.startedAt)
      attempt = restart.attempt
      this.#deps.onEvent({ kind: 'died', name: this.spec.name, end, restartInMs: restart.delayMs })
      await pause(restart.delayMs, stopping)
      if (stopping.aborted) return
      incarnation = this.#launch()
      // Not awaited: one that dies or is late is seen by the race above, or by whoever reads the line.
      this.#becomeReady(incarnation, true).catch((error: unknown) => {
        if (error instanceof ServingError && error.code === 'PROCESS_FAILED')
          this.#deps.onEvent({ kind: 'late', name: this.spec.name, reason: error.message })
      })
    }
  }
}
