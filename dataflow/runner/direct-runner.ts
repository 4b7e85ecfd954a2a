/**
 * The direct runner: carries out what the executor wants of one request, here and now. It calls the models itself, keeps the
 * timers, and journals every edge. Bounded: so many requests at once, what runs on after an answer included; each ends at its
 * deadline.
 */
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { type Batcher, createBatcher } from '../batch/batcher.ts'
import { proceed, start } from '../executor/executor.ts'
import type { Effect, ExecutorEvent } from '../executor/types.ts'
import type { Journal } from '../journal/journal.ts'
import type { CallHeaders, ModelClient } from '../model-client/model-client.ts'
import type { Plan } from '../plan/plan.ts'
import {
  type PipelineEnd,
  type PipelineRequest,
  type PipelineRunner,
  toCallersFailure,
  tooMany,
  toPipelineFailure,
} from './pipeline-request.ts'
import { createRequestJournal, type RequestJournal } from './request-journal.ts'
import { type Running, RunningRequests } from './running-requests.ts'
import { Timers } from './timers.ts'

export interface RunnerDeps {
  readonly models: Pick<ModelClient, 'infer'>
  readonly journal: Journal
  readonly maxRequests: number
  /** See `RequestJournalDeps.mark`. */
  readonly mark?: string
  readonly log: Logger
  /** Of a clock that only goes forward. */
  readonly nowMs: () => number
}

export function createDirectRunner(deps: RunnerDeps): PipelineRunner {
  const running = new RunningRequests<RunningRequest>()
  const batcher = createBatcher(deps)
  let turn = 0

  return {
    run: (request, onEnd) => {
      if (running.size >= deps.maxRequests) {
        onEnd(tooMany(request.plan.pipeline, deps.maxRequests))
        return
      }
      turn = (turn + 1) % deps.journal.partitions
      const one = new RunningRequest(deps, batcher, request, turn, onEnd, () => {
        running.delete(one)
      })
      running.add(one)
      one.start()
    },
    running: () => running.size,
    untilIdle: (plan) => running.untilIdle(plan),
  }
}

const NO_ROUTES: readonly string[] = []
type State = ReturnType<typeof start>['state']

class RunningRequest implements Running {
  readonly plan: Plan
  place = 0
  readonly #deps: RunnerDeps
  readonly #batcher: Batcher
  readonly #request: PipelineRequest
  readonly #deadlineMs: number
  readonly #journal: RequestJournal
  /** What ends each of them. */
  readonly #calls = new Map<number, () => void>()
  readonly #headers: CallHeaders
  readonly #timers: Timers
  readonly #routes: string[] = []
  /** Of the answer that is being taken up. */
  #answerRoutes: readonly string[] = NO_ROUTES
  readonly #onEnd: (end: PipelineEnd) => void
  readonly #onFinished: () => void
  #state: State | undefined
  #isSettled = false
  #isFinished = false

  constructor(
    deps: RunnerDeps,
    batcher: Batcher,
    request: PipelineRequest,
    partition: number,
    onEnd: (end: PipelineEnd) => void,
    onFinished: () => void,
  ) {
    this.plan = request.plan
    this.#deps = deps
    this.#batcher = batcher
    this.#request = request
    this.#deadlineMs = deps.nowMs() + request.timeoutMs
    this.#headers = [['x-request-id', request.requestId], ...request.headers]
    this.#timers = new Timers(deps.nowMs, (timer) => {
      this.#feed({ kind: 'timer', timer, nowMs: deps.nowMs() })
    })
    this.#onEnd = onEnd
    this.#onFinished = onFinished
    const onRefused = (error: ServingError): void => {
      if (this.#isSettled) return
      this.#settle({ kind: 'failed', failure: toPipelineFailure(this.plan.pipeline, error) })
      this.#cancel()
    }
    this.#journal = createRequestJournal({ journal: deps.journal, partition, mark: deps.mark, onRefused }, request)
  }

  start(): void {
    const { request, caller } = this.#request
    if (caller.isGone) {
      this.#onGone()
      this.#finish()
      return
    }
    caller.onGone = this.#onGone
    const nowMs = this.#deps.nowMs()
    this.#guard(() => {
      const { state, effects } = start(this.plan, { input: request, nowMs, deadlineMs: this.#deadlineMs })
      this.#state = state
      this.#carryOut(effects)
    })
  }

  readonly #onGone = (): void => {
    this.#settle({
      kind: 'failed',
      failure: toPipelineFailure(this.plan.pipeline, new ServingError('CANCELLED', 'the caller went away')),
    })
    this.#cancel()
  }

  #cancel(): void {
    if (this.#state !== undefined && !this.#isFinished) this.#feed({ kind: 'cancelled', nowMs: this.#deps.nowMs() })
  }

  #feed(event: ExecutorEvent): void {
    this.#guard(() => {
      if (this.#isFinished || this.#state === undefined) return
      this.#carryOut(proceed(this.#state, event))
    })
  }

  /** A bug in the executor ends one request, with an answer, and not the process. */
  #guard(work: () => void): void {
    try {
      work()
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#deps.log.error({ pipeline: this.plan.pipeline, error: text }, 'request failed')
      this.#settle({
        kind: 'failed',
        failure: toPipelineFailure(
          this.plan.pipeline,
          new ServingError('INVARIANT_BROKEN', 'see the log of the gateway'),
        ),
      })
      this.#finish()
    }
  }

  /** Calls first: encoding a record takes time that a model can use. */
  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) if (effect.kind === 'call') this.#call(effect)
    for (const effect of effects) this.#carryOutOne(effect)
  }

  #carryOutOne(effect: Effect): void {
    const { pipeline } = this.plan
    switch (effect.kind) {
      case 'call':
        return
      case 'cancel':
        this.#calls.get(effect.call)?.()
        this.#calls.delete(effect.call)
        return
      case 'record':
        this.#journal.edge(
          effect.edge,
          effect.end,
          effect.message,
          effect.end.kind === 'pipeline' ? this.#routes : this.#answerRoutes,
        )
        return
      case 'setTimer':
        this.#timers.set(effect.timer, effect.atMs)
        return
      case 'answer':
        this.#answer({ kind: 'answered', response: effect.response, routes: this.#routes })
        return
      case 'fail': {
        const failure = toCallersFailure(pipeline, effect.failure)
        this.#journal.error(failure)
        this.#answer({ kind: 'failed', failure })
        return
      }
      case 'sideFailed': {
        const failure = toCallersFailure(pipeline, effect.failure)
        this.#journal.sideError(failure)
        this.#deps.log.warn(
          { pipeline, step: failure.source, code: failure.code, error: failure.message },
          'side branch failed',
        )
        return
      }
      case 'finished':
        if (this.plan.outputNode === undefined) this.#settleWithoutOutput()
        this.#finish()
    }
  }

  #call({ call, node, step, request }: Extract<Effect, { kind: 'call' }>): void {
    const { models, nowMs } = this.#deps
    const known = this.#request.origin?.answers.get(step)
    if (known !== undefined) {
      queueMicrotask(() => {
        this.#feed({ kind: 'answered', call, response: known, nowMs: nowMs() })
      })
      return
    }
    const timeoutMs = Math.max(this.#deadlineMs - nowMs(), 0)
    const { batch } = this.plan.nodes[node] ?? {}
    const infer =
      batch === undefined
        ? models.infer
        : this.#batcher.infer.bind(undefined, `${this.plan.pipeline}@${String(this.plan.version)}/${step}`, batch)
    const cancel = infer({ model: step, request, headers: this.#headers, timeoutMs }, (end) => {
      this.#calls.delete(call)
      if (end.kind === 'failed') {
        this.#feed({ kind: 'failed', call, cause: end.failure, nowMs: nowMs() })
        return
      }
      this.#routes.push(...end.routes)
      this.#answerRoutes = end.routes
      this.#feed({ kind: 'answered', call, response: end.response, nowMs: nowMs() })
      this.#answerRoutes = NO_ROUTES
    })
    this.#calls.set(call, cancel)
  }

  /** It ran to its end, and a caller gets nothing of it. */
  #settleWithoutOutput(): void {
    const { pipeline } = this.plan
    const error = new ServingError(
      'PIPELINE_NO_OUTPUT',
      `pipeline "${pipeline}" has no output: it ran, and answers nothing`,
    )
    this.#settle({ kind: 'failed', failure: toPipelineFailure(pipeline, error) })
  }

  /** When the journal has what the pipeline wants it to have, but not after the deadline. */
  #answer(end: PipelineEnd): void {
    const onAnswerable = (): void => {
      clearTimeout(late)
      this.#settle(end) // whoever refused a record has settled it
    }
    if (this.#journal.isAnswerable(onAnswerable)) {
      this.#settle(end)
      return
    }
    const late = setTimeout(
      () => {
        const error = new ServingError(
          'DEADLINE_EXCEEDED',
          'Kafka has not acknowledged the records of this request in time',
        )
        this.#settle(
          end.kind === 'failed' ? end : { kind: 'failed', failure: toPipelineFailure(this.plan.pipeline, error) },
        )
      },
      Math.max(this.#deadlineMs - this.#deps.nowMs(), 0),
    )
  }

  #settle(end: PipelineEnd): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#request.caller.onGone = undefined
    this.#onEnd(end)
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#timers.clear()
    for (const cancel of this.#calls.values()) cancel()
    this.#onFinished()
  }
}
