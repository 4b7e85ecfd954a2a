/**
 * Makes observed equal desired (R4). One step at a time computes the difference and starts what is missing; the work
 * itself runs beside it, one piece per model, a bounded number at once. Every change wakes the next step.
 *
 * Zero interruption: nothing is unloaded before a scheduler has spoken (see `planActions`), and losing the scheduler
 * changes nothing here at all.
 */
import { toServingError } from '../../kit/errors.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { Logger } from '../../kit/log.ts'
import { type Action, nextRetryAtMs, planActions } from '../desired/actions.ts'
import { applyChange, type ChangeResult, type Desired, type DesiredChange, modelsOf } from '../desired/desired.ts'
import { type ModelEvent, type Observed, transition } from '../desired/observed.ts'
import type { DesiredFile } from '../repository/desired-file.ts'
import { NOT_STORED, type StoredModel } from '../repository/stored-model.ts'
import { cameUp, type ServerState, settle } from '../runtime/server-state.ts'
import type { ServerEvent } from '../runtime/server-watch.ts'
import { loadModel, unloadModel, type WorkDeps } from './model-work.ts'
import { createProgress } from './progress.ts'
import type { ReplicaState } from './replica-state.ts'

type Deps = Omit<WorkDeps, 'serverLife'> & {
  readonly desiredFile: DesiredFile
  readonly maxParallelLoads: number
  readonly onModelEvent: (event: ModelEvent, internalName: string) => void
  readonly log: Logger
}

/** Names the models that changed; none when only the desired state or the server did. */
export type ChangeListener = (internalNames: ReadonlySet<string>) => void

const MAX_PARALLEL_UNLOADS = 8

export class Reconciler implements Running {
  readonly #deps: Deps
  readonly #observed: Map<string, Observed>
  readonly #working = new Map<string, Action['kind']>()
  readonly #progress = createProgress()
  readonly #listeners = new Set<ChangeListener>()
  #desired: Desired
  #saved: Desired
  #server: ServerState = { kind: 'Down', reason: 'not checked yet' }
  #serverLife = 0
  #doubtful = false
  #activity = 0
  #changed = new Set<string>()
  #awake = false
  #again = false
  #stopped = false
  #retryTimer: NodeJS.Timeout | undefined

  /** `desired` and `stored` are what the last run left on disk. */
  constructor(deps: Deps, desired: Desired, stored: ReadonlyMap<string, StoredModel>) {
    this.#deps = deps
    this.#desired = desired
    this.#saved = desired
    this.#observed = new Map(
      [...stored].map(([name, found]) => [name, { kind: 'Stored', stored: found, interruptions: 0 }]),
    )
  }

  get state(): ReplicaState {
    const appliedGeneration = this.#desired.kind === 'Known' ? this.#progress.applied() : 0
    return { desired: this.#desired, observed: this.#observed, server: this.#server, appliedGeneration }
  }

  /** Grows with every load and unload that starts or ends. */
  get activity(): number {
    return this.#activity
  }

  /** A call was cut off: nothing more is started before the server has been looked at again, or it would be cut off too. */
  get doubtful(): boolean {
    return this.#doubtful
  }

  /** The server is being told to load a model; each such call has a deadline. */
  get loading(): boolean {
    return [...this.#working.values()].includes('load')
  }

  /** Calls `listener` after each step that changed something; returns how to stop that. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  applyDesired(change: DesiredChange): ChangeResult {
    const result = applyChange(this.#desired, change)
    if (result.kind !== 'applied') return result
    if (change.full) this.#progress.restart()
    for (const name of change.removed) this.#changed.add(name)
    for (const name of modelsOf(this.#desired).keys()) if (change.full) this.#changed.add(name)
    for (const model of change.models) this.#changed.add(model.internalName)
    this.#desired = result.desired
    this.#wake()
    return result
  }

  applyServer(event: ServerEvent): void {
    if (event.kind === 'down') {
      this.#server = { kind: 'Down', reason: event.reason }
    } else {
      this.#doubtful = false
      for (const name of event.loaded) this.#apply(name, { kind: 'foundLoaded', stored: NOT_STORED })
      for (const name of this.#observed.keys()) if (!event.loaded.has(name)) this.#apply(name, { kind: 'foundMissing' })
      if (event.kind === 'up') {
        this.#serverLife += 1
        this.#server = cameUp(this.#desired, this.#observed)
      }
    }
    this.#wake()
  }

  /** Starts nothing more. Work that runs is left to end by itself: models stay loaded. */
  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#retryTimer)
    await Promise.resolve()
  }

  #wake(): void {
    this.#again = true
    if (this.#awake || this.#stopped) return
    this.#awake = true
    setImmediate(() => void this.#run())
  }

  async #run(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      await this.#saveDesired()
      if (!this.#stopped) this.#step()
    }
    this.#awake = false
  }

  /** On disk before it is acted upon, so that a restarted agent does not load again what it was told to remove. */
  async #saveDesired(): Promise<void> {
    while (this.#saved !== this.#desired) {
      const desired = this.#desired
      try {
        await this.#deps.desiredFile.save(desired)
      } catch (error) {
        this.#deps.log.warn({ error: toServingError(error).message }, 'desired state could not be saved')
      }
      this.#saved = desired
    }
  }

  #step(): void {
    const nowMs = this.#deps.nowMs()
    const actions = planActions(this.#desired, this.#observed, nowMs)
    if (this.#server.kind !== 'Down' && !this.#doubtful) for (const action of actions) this.#startIfRoom(action)
    this.#server = settle(this.#server, this.#desired, this.#observed)
    if (this.#desired.kind === 'Known') {
      const unsettled = [...actions.map((action) => action.internalName), ...this.#working.keys()]
      this.#progress.update(this.#desired.generation, unsettled)
    }
    this.#scheduleRetry(nowMs)
    const changed = this.#changed
    this.#changed = new Set()
    for (const listener of this.#listeners) listener(changed)
  }

  #startIfRoom(action: Action): void {
    const limit = action.kind === 'load' ? this.#deps.maxParallelLoads : MAX_PARALLEL_UNLOADS
    const running = [...this.#working.values()].filter((kind) => kind === action.kind).length
    if (running >= limit || this.#working.has(action.internalName)) return
    this.#working.set(action.internalName, action.kind)
    this.#activity += 1
    void this.#work(action).then((end) => {
      this.#activity += 1
      this.#working.delete(action.internalName)
      if (this.#stopped) return
      this.#logEnd(action.internalName, end)
      if (end.kind === 'loadInterrupted' || end.kind === 'unloadInterrupted') this.#doubtful = true
      this.#apply(action.internalName, end)
      this.#wake()
    })
  }

  #work(action: Action): Promise<ModelEvent> {
    const { internalName } = action
    const deps = { ...this.#deps, serverLife: () => this.#serverLife }
    const before = this.#observed.get(internalName)
    if (action.kind === 'unload') {
      this.#apply(internalName, { kind: 'unloadStarted' })
      return unloadModel(deps, internalName, before?.kind === 'UnloadFailed' ? before.failures : 0)
    }
    const { specKey, attempt } = action.model
    const artifactBytes = before?.stored.artifactBytes ?? 0
    this.#apply(internalName, { kind: 'loadStarted', stored: { specKey, attempt, artifactBytes } })
    return loadModel(deps, action.model, (event) => {
      this.#apply(internalName, event)
      this.#wake()
    })
  }

  #apply(internalName: string, event: ModelEvent): void {
    const before = this.#observed.get(internalName)
    const after = transition(before, event)
    if (after === before) return
    if (after === undefined) this.#observed.delete(internalName)
    else this.#observed.set(internalName, after)
    this.#changed.add(internalName)
    this.#deps.onModelEvent(event, internalName)
  }

  #logEnd(internalName: string, end: ModelEvent): void {
    const fields = { model: internalName, ...end }
    if (end.kind === 'loaded' || end.kind === 'unloaded') this.#deps.log.info(fields, 'model work is done')
    else this.#deps.log.warn(fields, 'model work did not succeed')
  }

  #scheduleRetry(nowMs: number): void {
    clearTimeout(this.#retryTimer)
    const retryAtMs = nextRetryAtMs(this.#observed, nowMs)
    if (retryAtMs === undefined) return
    this.#retryTimer = setTimeout(() => {
      this.#wake()
    }, retryAtMs - nowMs)
  }
}
