/**
 * The records of one model: so many calls at once, the others wait in their order. While the model is not there, one call at
 * a time finds out, with growing pauses; a record that has waited too long fails.
 */
import { backoffMs } from '../../kit/backoff.ts'
import { type Placed, PlacedList } from '../../kit/placed-list.ts'
import type { ModelCall, ModelClient, ModelEnd } from '../model-client/model-client.ts'
import { isUntouched, UNTOUCHED_AGAIN } from '../model-client/untouched.ts'

export interface ModelJob {
  readonly call: ModelCall
  /** Resolves when everything that the end causes has happened. */
  readonly onEnd: (end: ModelEnd) => Promise<void>
}

export interface ModelLineDeps {
  readonly models: Pick<ModelClient, 'infer'>
  readonly maxConcurrent: number
  /** How long a record waits for a model that is not there. */
  readonly maxWaitMs: number
  readonly onRetry: () => void
  readonly nowMs: () => number
}

/** A job that was taken, from the first time that it waits to the last time that it runs. */
class Taken implements Placed {
  readonly call: ModelCall
  readonly onEnd: ModelJob['onEnd']
  readonly giveUpAtMs: number
  place = -1
  /** While it runs. */
  cancel: (() => void) | undefined

  constructor({ call, onEnd }: ModelJob, giveUpAtMs: number) {
    this.call = call
    this.onEnd = onEnd
    this.giveUpAtMs = giveUpAtMs
  }
}

export class ModelLine {
  readonly #deps: ModelLineDeps
  #queue: Taken[] = []
  readonly #running = new PlacedList<Taken>()
  /** Ended calls whose consequences are not all there. */
  #ending = 0
  #timer: NodeJS.Timeout | undefined
  /** Calls in a row that found the model absent; 0: it is there. */
  #absences = 0
  #isLeaving = false
  #onIdle: (() => void) | undefined

  constructor(deps: ModelLineDeps) {
    this.#deps = deps
  }

  get running(): number {
    return this.#running.size
  }

  add(job: ModelJob): void {
    if (this.#isLeaving) return
    this.#queue.push(new Taken(job, this.#deps.nowMs() + this.#deps.maxWaitMs))
    this.#next()
  }

  /** Forgets what waits and takes nothing more; resolves when what runs has ended. */
  async leave(): Promise<void> {
    this.#isLeaving = true
    this.#queue = []
    clearTimeout(this.#timer)
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve
      this.#look()
    })
  }

  /** Ends what still runs: it is somebody else's. */
  drop(): void {
    for (const { cancel } of this.#running.takeAll()) cancel?.()
    this.#look()
  }

  #next(): void {
    const { maxConcurrent } = this.#deps
    while (this.#timer === undefined && this.#running.size < (this.#absences > 0 ? 1 : maxConcurrent)) {
      const job = this.#queue.shift()
      if (job === undefined) return
      this.#start(job)
    }
  }

  #start(job: Taken): void {
    job.cancel = this.#deps.models.infer(job.call, (end) => {
      this.#running.delete(job)
      job.cancel = undefined
      if (end.kind === 'failed' && isUntouched(end.failure) && this.#deps.nowMs() < job.giveUpAtMs) this.#wait(job)
      else {
        this.#absences = 0
        void this.#end(job, end)
      }
      this.#next()
      this.#look()
    })
    this.#running.add(job)
  }

  async #end(job: Taken, end: ModelEnd): Promise<void> {
    this.#ending += 1
    await job.onEnd(end)
    this.#ending -= 1
    this.#look()
  }

  #wait(job: Taken): void {
    if (this.#isLeaving) return
    this.#deps.onRetry()
    this.#queue.unshift(job)
    if (this.#timer !== undefined) return // of calls that ran at once, the first one counts
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#next()
      },
      backoffMs(this.#absences, UNTOUCHED_AGAIN),
    )
    this.#absences += 1
  }

  #look(): void {
    if (this.#running.size === 0 && this.#ending === 0) this.#onIdle?.()
  }
}
