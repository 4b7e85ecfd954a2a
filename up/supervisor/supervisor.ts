/** Starts processes in the order of their needs, keeps them running, and stops them in order. */
import { mkdirSync } from 'node:fs'
import { ServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import { type Child, type ChildEvent, createChild } from './child.ts'
import { keepLogsBounded, LOG_BOUND_BYTES } from './log-file.ts'
import type { ProcessSpec } from './spec.ts'

export interface SupervisorOptions {
  readonly specs: readonly ProcessSpec[]
  /** Names of processes that `start` leaves out; nobody waits for them. */
  readonly absent?: ReadonlySet<string>
  readonly logsDir: string
  readonly pidsDir: string
  /** Whether the child of this name is started again when it dies. */
  readonly restarts: (name: string) => boolean
  readonly onEvent: (event: ChildEvent) => void
}

export interface Supervisor extends Running {
  /** Resolves when every process serves; `onWaiting` hears which do not yet. @throws ServingError PROCESS_FAILED */
  start(onWaiting?: (names: readonly string[]) => void): Promise<void>
  /** @throws ServingError INVARIANT_BROKEN when there is none of this name */
  child(name: string): Child
  /**
   * Takes on one more process; resolves when it serves. One that does not is ended and forgotten.
   * @throws ServingError PROCESS_FAILED with its last log lines, CANCELLED when everything is being stopped
   */
  add(spec: ProcessSpec): Promise<void>
  /** SIGTERM, then SIGKILL after `withinMs` (by default the spec's); then it is forgotten. */
  remove(name: string, withinMs?: number): Promise<void>
  /** SIGTERM to all, stage by stage, each with its deadline. */
  stop(): Promise<void>
  /** SIGKILL to all, now; for an impatient user. `stop` then ends at once. */
  killAll(): void
}

export function createSupervisor(options: SupervisorOptions): Supervisor {
  const children = new Map(options.specs.map((spec) => [spec.name, createChild(spec, options)]))
  const logKeeping = new AbortController()
  let stopping: Promise<void> | undefined

  const startAll = async (onWaiting: (names: readonly string[]) => void): Promise<void> => {
    const wanted = [...children.values()].filter((child) => options.absent?.has(child.spec.name) !== true)
    const waiting = new Set(wanted.map((child) => child.spec.name))
    const ready = new Map<string, Promise<void>>()
    const startOne = async (child: Child): Promise<void> => {
      await Promise.all(child.spec.after.map((name) => ready.get(name) ?? Promise.resolve()))
      if (stopping !== undefined) throw new ServingError('CANCELLED', 'stopped while starting')
      await child.start()
      waiting.delete(child.spec.name)
      onWaiting([...waiting])
    }
    for (const child of wanted) ready.set(child.spec.name, startOne(child))
    await Promise.all(ready.values())
  }

  const stopAll = async (): Promise<void> => {
    const stages = [...new Set([...children.values()].map((child) => child.spec.stopStage))].toSorted((a, b) => a - b)
    for (const stage of stages) {
      const members = [...children.values()].filter((child) => child.spec.stopStage === stage)
      await Promise.all(members.map((child) => child.stop()))
    }
    logKeeping.abort()
  }

  const forget = async (child: Child, withinMs?: number): Promise<void> => {
    await child.stop(withinMs)
    children.delete(child.spec.name)
  }

  return {
    start: async (onWaiting = () => undefined) => {
      mkdirSync(options.logsDir, { recursive: true })
      const logs = (): string[] => [...children.values()].map((child) => child.logPath)
      void keepLogsBounded(logs, LOG_BOUND_BYTES, logKeeping.signal)
      await startAll(onWaiting)
    },
    child: (name) => {
      const child = children.get(name)
      if (child === undefined)
        throw new ServingError('INVARIANT_BROKEN', `no process ${name}; have ${[...children.keys()].join(', ')}`)
      return child
    },
    add: async (spec) => {
      if (stopping !== undefined) throw new ServingError('CANCELLED', 'stopped while starting')
      if (children.has(spec.name)) throw new ServingError('INVARIANT_BROKEN', `there is a process ${spec.name} already`)
      const child = createChild(spec, options)
      children.set(spec.name, child)
      try {
        await child.start() // spawns at once, so whoever stops everything finds it running
      } catch (error) {
        await forget(child)
        throw error
      }
    },
    remove: async (name, withinMs) => {
      const child = children.get(name)
      if (child !== undefined) await forget(child, withinMs)
    },
    stop: () => (stopping ??= stopAll()),
    killAll: () => {
      for (const child of children.values()) child.signal('SIGKILL')
    },
  }
}
