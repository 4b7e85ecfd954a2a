/**
 * The runner over topics: advances a request as its records appear on topics, and puts the next ones there. It asks no model:
 * what it puts on a step's inputs, a model gateway answers. A sibling of the direct runner.
 *
 * Everything that it knows of a request is on the topics too, so it may be given up at any moment: who goes on feeds the
 * records that are there to a new run, what steps were asked first, the pipeline's input last, and nobody is asked twice.
 */
import { type ErrorCode, ServingError, toServingError } from '../../kit/errors.ts'
import { LateSignal } from '../../kit/late-signal.ts'
import type { Logger } from '../../kit/log.ts'
import { proceed, type Run as Execution, start } from '../executor/executor.ts'
import { DEADLINE_TIMER } from '../executor/state.ts'
import type { EdgeMessage, Effect, ExecutorEvent, Failure, Visit } from '../executor/types.ts'
import { visitKey } from '../executor/visit.ts'
import { recordAtLast } from '../journal/insist.ts'
import { errorHeaders, failureText, journalHeaders, withRoutes } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders, JournalMessage } from '../journal/journal.ts'
import { ERRORS, RUNNER_HEADER, RUNNERS, type TopicEnd } from '../journal/topics.ts'
import type { CallHeaders } from '../model-client/model-client.ts'
import type { ModelFailure } from '../model-client/model-failure.ts'
import type { Plan } from '../plan/plan.ts'
import { type PipelineFailure, toCallersFailure, toPipelineFailure } from './pipeline-request.ts'
import { type Running, RunningRequests } from './running-requests.ts'
import { Timers } from './timers.ts'
import { visitHeaders } from './visit-header.ts'

export interface TopicsRunnerDeps {
  readonly journal: Journal
  /** Of the data that all requests hold; a request that comes beyond it fails. */
  readonly maxBytes: number
  readonly log: Logger
  /** Of a clock that only goes forward. */
  readonly nowMs: () => number
}

export interface TopicsRequest {
  readonly plan: Plan
  readonly key: string
  readonly partition: number
  readonly requestId: string
  /** The caller's `x-*`, for the steps and all records. */
  readonly headers: CallHeaders
  /** For all of its records, beside the usual ones. */
  readonly marks: JournalHeaders
  readonly beganMs: number
  readonly timeoutMs: number
  /** The result, or the error in its place, is acknowledged; or there will be none. */
  readonly onTerminal: (outcome: 'answered' | 'failed') => void
  /** What arrives from now on changes nothing. */
  readonly onFinished: () => void
}

/** What appeared on a topic. */
export type Arrival = {
  readonly visit: Visit
  /** That its record takes in memory. */
  readonly bytes: number
} & (
  | {
      readonly kind: 'data'
      readonly edge: number
      readonly message: EdgeMessage
      /** Of a step's answer. */
      readonly routes?: readonly string[]
    }
  | { readonly kind: 'failure'; readonly node: number; readonly cause: ModelFailure }
)

export interface TopicsRun {
  readonly plan: Plan
  /** Whatever it makes possible is on its way to Kafka when this returns. */
  readonly arrive: (arrival: Arrival) => void
  /** The deadline is this, if it is sooner. */
  readonly endBy: (deadlineMs: number) => void
  /** Gives it up: nothing more happens; resolves when what is on its way to Kafka is there. */
  readonly giveUp: () => Promise<void>
}

export interface TopicsRunner {
  readonly begin: (request: TopicsRequest) => TopicsRun
  readonly running: () => number
  readonly heldBytes: () => number
  /** Resolves when nothing of this plan runs any more. */
  readonly untilIdle: (plan?: Plan) => Promise<void>
}

export function createTopicsRunner(deps: TopicsRunnerDeps): TopicsRunner {
  const running = new RunningRequests<Run>()
  let held = 0
  const room: Room = {
    take: (bytes) => {
      if (held + bytes > deps.maxBytes) return false
      held += bytes
      return true
    },
    give: (bytes) => {
      held -= bytes
    },
  }
  return {
    begin: (request) => {
      const one = new Run(deps, room, request, () => {
        running.delete(one)
      })
      running.add(one)
      return one
    },
    running: () => running.size,
    heldBytes: () => held,
    untilIdle: (plan) => running.untilIdle(plan),
  }
}

interface Room {
  readonly take: (bytes: number) => boolean
  readonly give: (bytes: number) => void
}

class Run implements TopicsRun, Running {
  readonly plan: Plan
  place = 0
  readonly #deps: TopicsRunnerDeps
  readonly #room: Room
  readonly #request: TopicsRequest
  readonly #onOver: () => void
  readonly #headers: JournalHeaders
  readonly #timers: Timers
  readonly #routes = new Set<string>()
  readonly #givenUp = new LateSignal()
  /** On their way to Kafka. */
  readonly #writes = new Set<Promise<void>>()
  /** Of what came over each edge last: earlier turns of a loop are not kept. */
  readonly #bytes = new Map<number, number>()
  #deadlineMs: number
  readonly #state: Execution['state']
  #hasTerminal = false
  #isOver = false

  constructor(deps: TopicsRunnerDeps, room: Room, request: TopicsRequest, onOver: () => void) {
    const { plan, requestId, headers: callerHeaders, marks, beganMs, timeoutMs } = request
    this.plan = plan
    this.#deps = deps
    this.#room = room
    this.#request = request
    this.#onOver = onOver
    const { pipeline, version } = plan
    this.#headers = [...journalHeaders({ pipeline, version, requestId, callerHeaders }), ...marks]
    this.#timers = new Timers(deps.nowMs, (timer) => {
      this.#feed({ kind: 'timer', timer, nowMs: deps.nowMs() })
    })
    this.#deadlineMs = beganMs + timeoutMs
    this.#state = start(plan, { nowMs: beganMs, deadlineMs: this.#deadlineMs, isOpen: true }).state
    this.#timers.set(DEADLINE_TIMER, this.#deadlineMs)
  }

  arrive(arrival: Arrival): void {
    if (this.#isOver) return
    const { visit, bytes } = arrival
    const nowMs = this.#deps.nowMs()
    if (nowMs >= this.#deadlineMs) this.#feed({ kind: 'timer', timer: DEADLINE_TIMER, nowMs })
    else if (arrival.kind === 'failure')
      this.#feed({ kind: 'arrivedFailure', node: arrival.node, visit, cause: arrival.cause, nowMs })
    else if (this.#mayHold(arrival.edge, bytes)) {
      for (const route of arrival.routes ?? []) this.#routes.add(route)
      this.#feed({ kind: 'arrived', edge: arrival.edge, visit, message: arrival.message, nowMs })
    } else
      this.#failWith(
        'SERVER_OVERLOADED',
        `its data would take more memory than --max-topics-bytes ${String(this.#deps.maxBytes)} leaves`,
      )
  }

  endBy(deadlineMs: number): void {
    if (this.#isOver || deadlineMs >= this.#deadlineMs) return
    this.#deadlineMs = deadlineMs
    this.#timers.set(DEADLINE_TIMER, deadlineMs)
  }

  async giveUp(): Promise<void> {
    this.#givenUp.abort()
    this.#end()
    await Promise.all(this.#writes)
  }

  /** What came over an edge before is used. */
  #mayHold(edge: number, bytes: number): boolean {
    const before = this.#bytes.get(edge) ?? 0
    this.#room.give(before)
    const isTaken = this.#room.take(bytes)
    this.#bytes.set(edge, isTaken ? bytes : 0)
    return isTaken
  }

  #feed(event: ExecutorEvent): void {
    if (this.#isOver) return
    try {
      this.#carryOut(proceed(this.#state, event))
    } catch (error) {
      // A bug in the executor ends one request, with an answer, and not the process.
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
      this.#deps.log.error({ pipeline: this.plan.pipeline, error: text }, 'request failed')
      this.#failWith('INVARIANT_BROKEN', 'see the log of the engine')
    }
  }

  #carryOut(effects: readonly Effect[]): void {
    const asked = new Set<string>()
    for (const effect of effects) if (effect.kind === 'call') asked.add(callKey(effect.node, effect.visit))
    for (const effect of effects) this.#carryOutOne(effect, asked)
  }

  #carryOutOne(effect: Effect, asked: ReadonlySet<string>): void {
    switch (effect.kind) {
      case 'call':
      case 'cancel':
      case 'answer':
        return
      case 'record':
        this.#recordEdge(effect, asked)
        return
      case 'setTimer':
        this.#timers.set(effect.timer, effect.atMs)
        return
      case 'fail':
        this.#fail(effect.failure)
        return
      case 'sideFailed': {
        const failure = toCallersFailure(this.plan.pipeline, effect.failure)
        if (!isOnTopics(effect.failure)) this.#write(ERRORS, ...errorOf(this.#headers, failure))
        const { source: step, code, message: error } = failure
        this.#deps.log.warn({ pipeline: this.plan.pipeline, step, code, error }, 'side branch failed')
        return
      }
      case 'finished':
        if (!this.#hasTerminal) this.#request.onTerminal('answered')
        this.#end()
    }
  }

  #recordEdge({ edge, end, visit, message }: Extract<Effect, { kind: 'record' }>, asked: ReadonlySet<string>): void {
    if (end.kind === 'pipeline') {
      if (end.side === 'outputs') this.#writeTerminal('answered', withRoutes(this.#headers, this.#routes), message)
      return
    }
    // Of a step whose answer is there already, nobody is asked: the record is for readers.
    const isAsked = asked.has(callKey(this.plan.edges[edge]?.producer ?? -1, visit))
    const runner = isAsked ? RUNNERS.topics : RUNNERS.direct
    this.#write(end, [...this.#headers, [RUNNER_HEADER, runner], ...visitHeaders(visit)], message)
  }

  #fail(failure: Failure): void {
    const told = toCallersFailure(this.plan.pipeline, failure)
    if (!isOnTopics(failure)) this.#write(ERRORS, ...errorOf(this.#headers, told))
    this.#writeTerminal('failed', ...errorOf(this.#headers, told))
  }

  /** Ends it from outside of the executor. */
  #failWith(code: ErrorCode, message: string): void {
    if (this.#isOver) return
    const failure = toPipelineFailure(this.plan.pipeline, new ServingError(code, message))
    this.#write(ERRORS, ...errorOf(this.#headers, failure))
    if (!this.#hasTerminal) this.#writeTerminal('failed', ...errorOf(this.#headers, failure))
    this.#end()
  }

  #write(topic: TopicEnd, headers: JournalHeaders, message: JournalMessage): void {
    this.#track(this.#put(topic, headers, message), (error) => {
      const { code, message: text } = toServingError(error)
      this.#failWith(code, text)
    })
  }

  #writeTerminal(outcome: 'answered' | 'failed', headers: JournalHeaders, message: JournalMessage): void {
    this.#hasTerminal = true
    const outputs: TopicEnd = { kind: 'pipeline', name: this.plan.pipeline, side: 'outputs' }
    const told = this.#put(outputs, headers, message).then((isThere) => {
      if (isThere) this.#request.onTerminal(outcome)
    })
    this.#track(told, (error) => {
      if (outcome === 'failed') return // its text is cut, so it fits
      const { code, message: text } = toServingError(error)
      const failure = toPipelineFailure(this.plan.pipeline, new ServingError(code, text))
      this.#write(ERRORS, ...errorOf(this.#headers, failure))
      this.#writeTerminal('failed', ...errorOf(this.#headers, failure))
    })
  }

  /** Sent at once. @throws ServingError: Kafka will never take it */
  #put(topic: TopicEnd, headers: JournalHeaders, message: JournalMessage): Promise<boolean> {
    const { key, partition } = this.#request
    const record = { topic, key, partition, headers, message, onFailure: 'fail-closed' } as const
    return recordAtLast(this.#deps.journal, record, this.#givenUp)
  }

  #track(work: Promise<unknown>, onRefused: (error: unknown) => void): void {
    const tracked: Promise<void> = work.then(
      () => {
        this.#writes.delete(tracked)
      },
      (error: unknown) => {
        this.#writes.delete(tracked)
        onRefused(error)
      },
    )
    this.#writes.add(tracked)
  }

  #end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#timers.clear()
    for (const bytes of this.#bytes.values()) this.#room.give(bytes)
    this.#bytes.clear()
    this.#onOver()
    this.#request.onFinished()
  }
}

const callKey = (node: number, visit: Visit): string => `${String(node)}/${visitKey(visit)}`

/** The failure of a step was read from the errors topic. */
const isOnTopics = ({ kind }: Failure): boolean => kind === 'step'

const errorOf = (
  headers: JournalHeaders,
  failure: PipelineFailure,
): readonly [headers: JournalHeaders, message: JournalMessage] => [
  errorHeaders(headers, failure),
  { kind: 'error', text: failureText(failure) },
]
