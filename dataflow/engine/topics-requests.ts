/**
 * The requests of one pipeline that run over topics, by key. A record on its inputs begins one, or joins one that was begun; a
 * record of a step goes to the request of its key, is dropped when that has ended, and otherwise begins one there: somebody
 * put it on the step's topic, or an engine that is gone had asked for it.
 *
 * A record that began a request is done when the result is acknowledged; any other at once, as it is read again when need be.
 */
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import { ReleasingMap } from '../../kit/releasing-map.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { firstVisit } from '../executor/visit.ts'
import { recordAtLast } from '../journal/insist.ts'
import { errorHeaders, failureText } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { ERRORS, REPLAYED_HEADER, type TopicEnd } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { Plan } from '../plan/plan.ts'
import { toPipelineFailure } from '../runner/pipeline-request.ts'
import type { Arrival, TopicsRun, TopicsRunner } from '../runner/topics-runner.ts'
import { toArrival } from './arrival.ts'
import type { Outcome } from './asynchronous.ts'
import type { StepRecord } from './begun-topics.ts'
import type { EndedKeys } from './ended-keys.ts'
import { writeError } from './error-record.ts'
import { type Identity, identify, identifyStep, isOfTopicsRunner } from './identity.ts'
import { readInput, tellPoison } from './input.ts'
import { insist } from './insist.ts'
import type { Turns } from '../../kit/turns.ts'

export interface TopicsRequestsDeps {
  readonly runner: TopicsRunner
  readonly journal: Journal
  readonly turns: Turns
  readonly ended: EndedKeys
  readonly plan: (pipeline: string) => HeldPlan | undefined
  readonly count: (pipeline: string, outcome: Outcome) => void
  /** Aborted when the engine stops. */
  readonly signal: AbortSignal
  readonly log: Logger
  readonly nowMs: () => number
  /** As records are stamped. */
  readonly wallMs: () => number
}

interface Times {
  readonly beganMs: number
  readonly timeoutMs: number
}

interface Running {
  readonly run: TopicsRun
  /** Of the records to be done with the result. */
  readonly dones: (() => void)[]
  hadInput: boolean
  isTold: boolean
}

const REPLAYED: JournalHeaders = [[REPLAYED_HEADER, '1']]

export class TopicsRequests {
  readonly #pipeline: string
  readonly #deps: TopicsRequestsDeps
  readonly #onFinished: () => void
  readonly #running = new ReleasingMap<string, Running>()
  #begun = new Map<string, StepRecord[]>()
  #isOver = false

  constructor(pipeline: string, deps: TopicsRequestsDeps, onFinished: () => void) {
    this.#pipeline = pipeline
    this.#deps = deps
    this.#onFinished = onFinished
  }

  /** What an engine before has begun. */
  knows(begun: Map<string, StepRecord[]>): void {
    this.#begun = begun
  }

  /** Of what runs. */
  plans(): Set<Plan> {
    return new Set([...this.#running.values()].map(({ run }) => run.plan))
  }

  onInput(held: HeldPlan, record: IncomingRecord, done: () => void, mayBeBegun: boolean): void {
    if (this.#isOver) return // it is read again by who goes on
    const { turns, journal, count } = this.#deps
    const identity = identify(record, this.#pipeline, journal.partitions)
    const content = readInput(held, record)
    if (content.kind === 'poison') {
      void tellPoison(this.#deps, held, record, identity, content.error).then((isTold) => {
        if (!isTold) return
        count(this.#pipeline, 'poison')
        done()
      })
      return
    }
    const times = this.#timesOf(record, content.timeoutMs)
    const work = (give: () => void): void => {
      if (this.#isOver || this.#isJoined(identity.key, record, content.request, times, done)) give()
      else {
        const { run } = this.#begin(held, identity, times, give, { done, hadInput: true, mayBeBegun })
        run.arrive(inputArrival(run, record, content.request))
      }
    }
    if (this.#isJoined(identity.key, record, content.request, times, done)) return
    const give = turns.takeNow()
    if (give === undefined) void turns.take().then(work)
    else work(give)
  }

  onStepRecord(end: TopicEnd, record: IncomingRecord, done: () => void): void {
    if (this.#isOver) return
    const known = this.#running.get(record.key)
    if (known !== undefined) {
      this.#feed(known.run, end, record)
      done()
      return
    }
    const held = this.#deps.plan(this.#pipeline)
    if (held === undefined) return // it goes elsewhere
    const isOurs = isOfTopicsRunner(record.headers)
    const isNobodys = held.plan.execution !== 'topics' || (end.kind === 'errors' && !isOurs)
    if (isNobodys || this.#deps.ended.get(this.#pipeline, record.key) !== undefined) {
      done()
      return
    }
    const arrival = this.#read(held, end, record, done)
    if (arrival === undefined) return
    const identity = identifyStep(record, this.#pipeline, this.#deps.journal.partitions)
    const give = this.#deps.turns.takeNow()
    if (give !== undefined) this.#beginWith(held, identity, arrival, give, done)
    else if (isOurs)
      void this.#deps.turns.take().then((turn) => {
        turn()
        this.onStepRecord(end, record, done)
      })
    else this.#refuse(held, identity, done)
  }

  /** Resolves when what is on its way to Kafka is there. */
  async giveUp(): Promise<void> {
    this.#isOver = true
    await Promise.all([...this.#running.values()].map(({ run }) => run.giveUp()))
  }

  #beginWith(held: HeldPlan, identity: Identity, arrival: Arrival, give: () => void, done: () => void): void {
    const times = { beganMs: this.#deps.nowMs(), timeoutMs: held.plan.timeoutMs }
    this.#begin(held, identity, times, give, { done, hadInput: false, mayBeBegun: false }).run.arrive(arrival)
  }

  /** With what its steps have answered before. */
  #begin(
    { plan }: HeldPlan,
    { key, partition, requestId, headers, marks }: Identity,
    times: Times,
    give: () => void,
    {
      done,
      hadInput,
      mayBeBegun,
    }: { readonly done: () => void; readonly hadInput: boolean; readonly mayBeBegun: boolean },
  ): Running {
    const { runner, ended, count } = this.#deps
    ended.delete(this.#pipeline, key)
    const begun = this.#begun.get(key) ?? []
    this.#begun.delete(key)
    const run = runner.begin({
      plan,
      key,
      partition,
      requestId,
      headers,
      marks: begun.length === 0 && !mayBeBegun ? marks : [...marks, ...REPLAYED],
      ...times,
      onTerminal: (outcome) => {
        one.isTold = true
        for (const tell of one.dones.splice(0)) tell()
        count(this.#pipeline, outcome)
      },
      onFinished: () => {
        this.#running.delete(key)
        give()
        if (this.#isOver) return
        ended.add(this.#pipeline, key, one.hadInput)
        this.#onFinished()
      },
    })
    const one: Running = { run, dones: [done], hadInput, isTold: false }
    this.#running.set(key, one)
    for (const { end, record } of begun) this.#feed(run, end, record)
    return one
  }

  /** Of a request that was begun by a record of a step; true: nothing is left to do for it. */
  #isJoined(
    key: string,
    record: IncomingRecord,
    request: Parameters<typeof inputArrival>[2],
    { beganMs, timeoutMs }: Times,
    done: () => void,
  ): boolean {
    const known = this.#running.get(key)
    if (known === undefined) {
      const before = this.#deps.ended.get(this.#pipeline, key)
      if (before === undefined || before.hadInput) return false
      this.#deps.ended.add(this.#pipeline, key, true)
      done()
      return true
    }
    known.hadInput = true
    if (known.isTold) done()
    else known.dones.push(done)
    known.run.endBy(beganMs + timeoutMs)
    known.run.arrive(inputArrival(known.run, record, request))
    return true
  }

  #feed(run: TopicsRun, end: TopicEnd, record: IncomingRecord): void {
    try {
      const arrival = toArrival(run.plan, end, record)
      if (arrival !== undefined) run.arrive(arrival)
    } catch (error) {
      this.#tellUnreadable(end, record, error, () => undefined)
    }
  }

  #read(held: HeldPlan, end: TopicEnd, record: IncomingRecord, done: () => void): Arrival | undefined {
    try {
      const arrival = toArrival(held.plan, end, record)
      if (arrival === undefined) done()
      return arrival
    } catch (error) {
      this.#tellUnreadable(end, record, error, done)
      return undefined
    }
  }

  /** As a failure of its step: it is read again among the errors, and fails its request if that runs. */
  #tellUnreadable(end: TopicEnd, record: IncomingRecord, error: unknown, done: () => void): void {
    if (end.kind === 'errors') return
    const { journal, signal, log } = this.#deps
    const { code, grpcStatus, message } = toServingError(error)
    const source = end.name
    log.warn({ pipeline: this.#pipeline, step: source, error: message }, 'a record of a step cannot be read')
    const told = recordAtLast(
      journal,
      {
        topic: ERRORS,
        key: record.rawKey,
        partition: record.partition,
        headers: errorHeaders(record.headers, { source, code, grpcStatus }),
        message: { kind: 'error', text: failureText({ source, message }) },
        onFailure: 'fail-closed',
      },
      signal,
    )
    told.then(
      (isTold) => {
        if (isTold) done()
      },
      (refusal: unknown) => {
        log.error({ pipeline: this.#pipeline, step: source, error: String(refusal) }, 'an error could not be recorded')
      },
    )
  }

  #refuse(held: HeldPlan, identity: Identity, done: () => void): void {
    const { journal, signal, log, count, turns } = this.#deps
    const error = new ServingError(
      'SERVER_OVERLOADED',
      `${String(turns.taken())} requests over topics run in this engine already (--max-topics-requests)`,
    )
    const failure = toPipelineFailure(this.#pipeline, error)
    void insist({ what: 'an error could not be recorded', pipeline: this.#pipeline, signal, log }, () =>
      writeError(journal, held, identity, failure),
    ).then((isTold) => {
      if (!isTold) return
      count(this.#pipeline, 'failed')
      done()
    })
  }

  /** A gateway waits from when it wrote the record; nobody else's time has begun before. */
  #timesOf({ headers, timestampMs }: IncomingRecord, timeoutMs: number): Times {
    const { nowMs, wallMs } = this.#deps
    const waitedMs = isOfTopicsRunner(headers) ? Math.max(wallMs() - timestampMs, 0) : 0
    return { beganMs: nowMs() - waitedMs, timeoutMs }
  }
}

const inputArrival = (
  { plan }: TopicsRun,
  { value }: IncomingRecord,
  request: Extract<Extract<Arrival, { kind: 'data' }>['message'], { kind: 'request' }>['request'],
): Arrival => ({
  kind: 'data',
  edge: plan.inputEdge,
  visit: firstVisit(plan.loops),
  message: { kind: 'request', request },
  bytes: value.length,
})
