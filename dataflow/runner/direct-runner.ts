/**
 * The direct runner: carries out what the executor wants of one request, here and now. It calls the models itself, keeps the
 * timers, and journals every edge. Bounded: so many requests at once, what runs on after an answer included; each ends at its
 * deadline.
 */
import type { InferenceResponse } from '../../api/oip/inference.ts'
import { type Due, DueList, NOWHERE } from '../../kit/due-list.ts'
import { ServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { type Batcher, createBatcher } from '../batch/batcher.ts'
import { proceed, start } from '../executor/executor.ts'
import { DEADLINE_TIMER } from '../executor/state.ts'
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
import { createRequestJournal, type RequestJournal, type RequestJournalDeps } from './request-journal.ts'
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

/** What the requests of one runner share. */
interface Shared {
  readonly deps: RunnerDeps
  readonly batcher: Batcher
  readonly running: RunningRequests<RunningRequest>
  readonly deadlines: DueList
}

export function createDirectRunner(deps: RunnerDeps): PipelineRunner {
  const running = new RunningRequests<RunningRequest>()
  const shared: Shared = { deps, batcher: createBatcher(deps), running, deadlines: new DueList(deps.nowMs) }
  let turn = 0

  return {
    run: (request, onEnd) => {
      if (running.size >= deps.maxRequests) {
        onEnd(tooMany(request.plan.pipeline, deps.maxRequests))
        return
      }
      turn = (turn + 1) % deps.journal.partitions
      const one = new RunningRequest(shared, request, turn, onEnd)
      running.add(one)
      one.start()
    },
    running: () => running.size,
    untilIdle: (plan) => running.untilIdle(plan),
  }
}

const NO_ROUTES: readonly string[] = []
type State = ReturnType<typeof start>['state']

/** A call of a model that runs. */
interface OpenCall {
  readonly call: number
  readonly cancel: () => void
}

/** One object for all that a request is to those who call it back: there are many of them. */
class RunningRequest implements Running, Due, RequestJournalDeps {
  readonly plan: Plan
  place = 0
  readonly dueMs: number
  duePlace = NOWHERE
  readonly journal: Journal
  readonly partition: number
  readonly mark: string | undefined
  readonly #shared: Shared
  readonly #request: PipelineRequest
  readonly #records: RequestJournal
  readonly #calls: OpenCall[] = []
  readonly #headers: CallHeaders
  /** Of windows; the deadline is in the list of all. */
  #timers: Timers | undefined
  #routes = NO_ROUTES
  /** Of the answer that is being taken up. */
  #answerRoutes = NO_ROUTES
  /** The records that come with an answer are not among those that it waits for, and nobody waits for them elsewhere. */
  readonly #isAnsweredFirst: boolean
  readonly #onEnd: (end: PipelineEnd) => void
  #state: State | undefined
  /** What the caller is told as soon as the journal has what it must have. */
  #waiting: PipelineEnd | undefined
  #isSettled = false
  #isFinished = false

  constructor(shared: Shared, request: PipelineRequest, partition: number, onEnd: (end: PipelineEnd) => void) {
    const { deps } = shared
    this.plan = request.plan
    this.dueMs = deps.nowMs() + request.timeoutMs
    this.journal = deps.journal
    this.partition = partition
    this.mark = deps.mark
    this.#shared = shared
    this.#request = request
    this.#headers = [['x-request-id', request.requestId], ...request.headers]
    this.#isAnsweredFirst = request.journal.wait !== 'all' && request.origin === undefined
    this.#onEnd = onEnd
    this.#records = createRequestJournal(this, request)
  }

  start(): void {
    const { request, caller } = this.#request
    if (caller.isGone) {
      this.#onGone()
      this.#finish()
      return
    }
    caller.onGone = this.#onGone
    const nowMs = this.#shared.deps.nowMs()
    try {
      const { state, effects } = start(this.plan, { input: request, nowMs, deadlineMs: this.dueMs })
      this.#state = state
      this.#carryOut(effects)
    } catch (error) {
      this.#break(error)
    }
  }

  readonly #onGone = (): void => {
    this.#settle({
      kind: 'failed',
      failure: toPipelineFailure(this.plan.pipeline, new ServingError('CANCELLED', 'the caller went away')),
    })
    this.#cancel()
  }

  /** Of the journal: it refuses a record that the answer waits for. */
  onRefused(error: ServingError): void {
    if (this.#isSettled) return
    this.#settle({ kind: 'failed', failure: toPipelineFailure(this.plan.pipeline, error) })
    this.#cancel()
  }

  /** The deadline: of the request, and of what its answer waits for. */
  onDue(): void {
    this.#feed({ kind: 'timer', timer: DEADLINE_TIMER, nowMs: this.#shared.deps.nowMs() })
    if (this.#waiting === undefined) return
    const error = new ServingError(
      'DEADLINE_EXCEEDED',
      'Kafka has not acknowledged the records of this request in time',
    )
    const isFailed = this.#waiting.kind === 'failed'
    this.#settle(isFailed ? this.#waiting : { kind: 'failed', failure: toPipelineFailure(this.plan.pipeline, error) })
  }

  #cancel(): void {
    this.#feed({ kind: 'cancelled', nowMs: this.#shared.deps.nowMs() })
  }

  #feed(event: ExecutorEvent): void {
    if (this.#isFinished || this.#state === undefined) return
    try {
      this.#carryOut(proceed(this.#state, event))
    } catch (error) {
      this.#break(error)
    }
  }

  /** A bug in the executor ends one request, with an answer, and not the process. */
  #break(error: unknown): void {
    const { pipeline } = this.plan
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
    this.#shared.deps.log.error({ pipeline, error: text }, 'request failed')
    const told = new ServingError('INVARIANT_BROKEN', 'see the log of the gateway')
    this.#settle({ kind: 'failed', failure: toPipelineFailure(pipeline, told) })
    this.#finish()
  }

  /** What somebody waits for comes first: a record takes time, which a model or the caller can use. */
  #carryOut(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.kind === 'call') this.#call(effect)
      else if (effect.kind === 'answer' && this.#isAnsweredFirst) this.#answerWith(effect.response)
    }
    for (const effect of effects) this.#carryOutOne(effect)
  }

  #carryOutOne(effect: Effect): void {
    const { pipeline } = this.plan
    switch (effect.kind) {
      case 'call':
        return
      case 'cancel':
        this.#takeCall(effect.call)?.cancel()
        return
      case 'record':
        this.#records.edge(
          effect.edge,
          effect.end,
          effect.message,
          effect.end.kind === 'pipeline' ? this.#routes : this.#answerRoutes,
        )
        return
      case 'setTimer':
        this.#setTimer(effect.timer, effect.atMs)
        return
      case 'answer':
        if (!this.#isAnsweredFirst) this.#answerWith(effect.response)
        return
      case 'fail': {
        const failure = toCallersFailure(pipeline, effect.failure)
        this.#records.error(failure)
        this.#answer({ kind: 'failed', failure })
        return
      }
      case 'sideFailed': {
        const failure = toCallersFailure(pipeline, effect.failure)
        this.#records.sideError(failure)
        this.#shared.deps.log.warn(
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

  #setTimer(timer: number, atMs: number): void {
    const { deadlines, deps } = this.#shared
    if (timer === DEADLINE_TIMER) {
      deadlines.add(this)
      return
    }
    this.#timers ??= new Timers(deps.nowMs, (due) => {
      this.#feed({ kind: 'timer', timer: due, nowMs: deps.nowMs() })
    })
    this.#timers.set(timer, atMs)
  }

  #call({ call, node, step, request }: Extract<Effect, { kind: 'call' }>): void {
    const { batcher, deps } = this.#shared
    const { models, nowMs } = deps
    const known = this.#request.origin?.answers.get(step)
    if (known !== undefined) {
      queueMicrotask(() => {
        this.#feed({ kind: 'answered', call, response: known, nowMs: nowMs() })
      })
      return
    }
    const timeoutMs = Math.max(this.dueMs - nowMs(), 0)
    const batch = this.plan.nodes[node]?.batch
    const infer =
      batch === undefined
        ? models.infer
        : batcher.infer.bind(undefined, `${this.plan.pipeline}@${String(this.plan.version)}/${step}`, batch)
    const cancel = infer({ model: step, request, headers: this.#headers, timeoutMs }, (end) => {
      this.#takeCall(call)
      if (end.kind === 'failed') {
        this.#feed({ kind: 'failed', call, cause: end.failure, nowMs: nowMs() })
        return
      }
      const { routes } = end
      if (routes.length > 0) this.#routes = this.#routes === NO_ROUTES ? routes : [...this.#routes, ...routes]
      this.#answerRoutes = routes
      this.#feed({ kind: 'answered', call, response: end.response, nowMs: nowMs() })
      this.#answerRoutes = NO_ROUTES
    })
    this.#calls.push({ call, cancel })
  }

  /** Undefined: it has ended. */
  #takeCall(call: number): OpenCall | undefined {
    const place = this.#calls.findIndex((open) => open.call === call)
    return place < 0 ? undefined : this.#calls.splice(place, 1)[0]
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

  #answerWith(response: InferenceResponse): void {
    this.#answer({ kind: 'answered', response, routes: this.#routes })
  }

  /** When the journal has what the pipeline wants it to have, but not after the deadline. */
  #answer(end: PipelineEnd): void {
    if (this.#isSettled) return
    this.#waiting = end
    const isAnswerable = this.#records.isAnswerable(() => {
      this.#settle(end) // whoever refused a record has settled it
    })
    if (isAnswerable) this.#settle(end)
  }

  #settle(end: PipelineEnd): void {
    if (this.#isSettled) return
    this.#isSettled = true
    this.#waiting = undefined
    this.#request.caller.onGone = undefined
    this.#forgetDeadline()
    this.#onEnd(end)
  }

  #finish(): void {
    if (this.#isFinished) return
    this.#isFinished = true
    this.#timers?.clear()
    for (const { cancel } of this.#calls) cancel()
    this.#forgetDeadline()
    this.#shared.running.delete(this)
  }

  #forgetDeadline(): void {
    if (this.#isSettled && this.#isFinished) this.#shared.deadlines.delete(this)
  }
}
