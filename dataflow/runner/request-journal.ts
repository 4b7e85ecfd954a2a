/**
 * The records of one request, and what its answer waits for.
 *
 * I8: with `wait: input` a request is answered only after the record of its input was acknowledged.
 */
import type { ServingError } from '../../kit/errors.ts'
import type { EdgeMessage } from '../executor/types.ts'
import { errorHeaders, failureText, journalHeaders, withRoutes } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders, JournalMessage, JournalRecord, RecordWaiter } from '../journal/journal.ts'
import { compositeKey, ERRORS, GATEWAY_HEADER, RUNNER_HEADER, RUNNERS, type TopicEnd } from '../journal/topics.ts'
import type { DataEnd } from '../plan/reference.ts'
import type { PipelineFailure, PipelineRequest } from './pipeline-request.ts'

export interface RequestJournal {
  /** `routes`: of the answers that it was made of. */
  readonly edge: (edge: number, end: DataEnd, message: EdgeMessage, routes: readonly string[]) => void
  readonly error: (failure: PipelineFailure) => void
  /** Of a failure that no output waits for: nobody's result. */
  readonly sideError: (failure: PipelineFailure) => void
  /** True: an answer may go out. False: `onAnswerable` is called as soon as it may, or as a record was refused. */
  readonly isAnswerable: (onAnswerable: () => void) => boolean
}

export interface RequestJournalDeps {
  readonly journal: Journal
  /** Of a new request. */
  readonly partition: number
  /** How this process marks requests as its own to finish: `<name>/<epoch>`. Undefined: it does not. */
  readonly mark: string | undefined
  /** Called at most once, as soon as a record that the answer waits for was refused. */
  readonly onRefused: (error: ServingError) => void
}

/** Who waits for a record: the caller's answer, whoever fed the pipeline through Kafka, or nobody. */
type Awaiting = 'answer' | 'reader' | 'nobody'

const NOTHING: RequestJournal = {
  edge: () => undefined,
  error: () => undefined,
  sideError: () => undefined,
  isAnswerable: () => true,
}

export function createRequestJournal(deps: RequestJournalDeps, request: PipelineRequest): RequestJournal {
  if (request.journal.record === 'none' || deps.journal.status().kind === 'none') return NOTHING
  return new RecordedRequest(deps, request)
}

const ASKED: JournalHeaders[number] = [RUNNER_HEADER, RUNNERS.direct]

/** One class and no promises: there are several of its records in each request. */
class RecordedRequest implements RequestJournal, RecordWaiter {
  readonly #deps: RequestJournalDeps
  readonly #request: PipelineRequest
  readonly #partition: number
  readonly #key: string
  /** Made with the first record: calls of models go before it. */
  #ownHeaders: JournalHeaders | undefined
  /** Of records that ask a model. */
  #askedHeaders: JournalHeaders | undefined
  /** Who waits for a result: whoever fed the pipeline through Kafka, or nobody. */
  readonly #forResult: Awaiting
  /** Records that the answer waits for. */
  #outstanding = 0
  #isRefused = false
  #onAnswerable: (() => void) | undefined

  constructor(deps: RequestJournalDeps, request: PipelineRequest) {
    const { plan, requestId, origin } = request
    this.#deps = deps
    this.#request = request
    this.#partition = origin?.partition ?? deps.partition
    this.#key = origin?.key ?? compositeKey(this.#partition, plan.pipeline, requestId)
    this.#forResult = origin === undefined ? 'nobody' : 'reader'
  }

  edge(edge: number, end: DataEnd, message: EdgeMessage, routes: readonly string[]): void {
    const { journal: settings, origin, plan } = this.#request
    if (settings.record === 'boundary' && end.kind !== 'pipeline') return
    const isInput = edge === plan.inputEdge
    if (isInput && origin !== undefined) return
    const isTerminal = end.kind === 'pipeline' && end.side === 'outputs'
    const isAwaited = origin === undefined && (settings.wait === 'all' || (settings.wait === 'input' && isInput))
    const headers = isInput ? this.#inputHeaders() : this.#headersOf(end, routes)
    if (isTerminal) this.#writeTerminal(end, headers, message, isAwaited ? 'answer' : this.#forResult)
    else this.#write(end, headers, message, isAwaited ? 'answer' : 'nobody')
  }

  error(failure: PipelineFailure): void {
    this.sideError(failure)
    const { headers, message } = this.#errorOf(failure)
    const outputs: TopicEnd = { kind: 'pipeline', name: this.#request.plan.pipeline, side: 'outputs' }
    this.#writeTerminal(outputs, headers, message, this.#forResult)
  }

  sideError(failure: PipelineFailure): void {
    const { headers, message } = this.#errorOf(failure)
    this.#write(ERRORS, headers, message, 'nobody')
  }

  isAnswerable(onAnswerable: () => void): boolean {
    if (this.#outstanding === 0 || this.#isRefused) return true
    this.#onAnswerable = onAnswerable
    return false
  }

  /** Of a record that the answer waits for. */
  onRecorded(error: ServingError | undefined): void {
    this.#outstanding -= 1
    if (error !== undefined && !this.#isRefused) {
      this.#isRefused = true
      this.#deps.onRefused(error)
    }
    if (this.#outstanding > 0 && !this.#isRefused) return
    const tell = this.#onAnswerable
    this.#onAnswerable = undefined
    tell?.()
  }

  get #headers(): JournalHeaders {
    return (this.#ownHeaders ??= this.#toHeaders())
  }

  #toHeaders(): JournalHeaders {
    const { plan, requestId, headers: callerHeaders, origin } = this.#request
    const { pipeline, version } = plan
    const headers = journalHeaders({ pipeline, version, requestId, callerHeaders })
    return origin === undefined ? headers : [...headers, ...origin.marks]
  }

  #inputHeaders(): JournalHeaders {
    const { mark } = this.#deps
    return mark === undefined ? this.#headers : [...this.#headers, [GATEWAY_HEADER, mark]]
  }

  #headersOf(end: DataEnd, routes: readonly string[]): JournalHeaders {
    if (end.side === 'outputs') return withRoutes(this.#headers, routes)
    return end.kind === 'model' ? (this.#askedHeaders ??= [...this.#headers, ASKED]) : this.#headers
  }

  #errorOf(failure: PipelineFailure): Pick<JournalRecord, 'headers' | 'message'> {
    return { headers: errorHeaders(this.#headers, failure), message: { kind: 'error', text: failureText(failure) } }
  }

  #write(topic: TopicEnd, headers: JournalHeaders, message: JournalMessage, awaiting: Awaiting): void {
    const record = this.#toRecord(topic, headers, message, awaiting)
    if (awaiting === 'answer') this.#outstanding += 1
    this.#deps.journal.write(record, awaiting === 'answer' ? this : undefined)
  }

  #writeTerminal(topic: TopicEnd, headers: JournalHeaders, message: JournalMessage, awaiting: Awaiting): void {
    const { origin } = this.#request
    if (origin === undefined) {
      this.#write(topic, headers, message, awaiting)
      return
    }
    const written = this.#deps.journal.record(this.#toRecord(topic, headers, message, awaiting))
    written.catch(() => undefined) // told to whoever is told of the result
    origin.onTerminal(written)
  }

  #toRecord(topic: TopicEnd, headers: JournalHeaders, message: JournalMessage, awaiting: Awaiting): JournalRecord {
    return {
      topic,
      key: this.#key,
      partition: this.#partition,
      headers,
      message,
      onFailure: this.#request.journal.onFailure,
      awaited: awaiting === 'answer',
      urgent: awaiting !== 'nobody',
    }
  }
}
