/**
 * The records of one request, and what its answer waits for.
 *
 * I8: with `wait: input` a request is answered only after the record of its input was acknowledged.
 */
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { EdgeMessage } from '../executor/types.ts'
import { errorHeaders, failureText, journalHeaders, withRoutes } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { compositeKey, ERRORS, GATEWAY_HEADER, RUNNER_HEADER, RUNNERS, type TopicEnd } from '../journal/topics.ts'
import type { DataEnd } from '../plan/reference.ts'
import type { PipelineFailure, PipelineRequest } from './pipeline-request.ts'

export interface RequestJournal {
  /** `routes`: of the answers that it was made of. */
  readonly edge: (edge: number, end: DataEnd, message: EdgeMessage, routes: readonly string[]) => void
  readonly error: (failure: PipelineFailure) => void
  /** Of a failure that no output waits for: nobody's result. */
  readonly sideError: (failure: PipelineFailure) => void
  /** Settles when an answer may go out. @throws ServingError of the journal */
  readonly untilAnswerable: () => Promise<void> | undefined
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
  untilAnswerable: () => undefined,
}

export function createRequestJournal(deps: RequestJournalDeps, request: PipelineRequest): RequestJournal {
  const { journal, onRefused } = deps
  const { plan, journal: settings, requestId, headers: callerHeaders, origin } = request
  const { record, wait, onFailure } = settings
  if (record === 'none' || journal.status().kind === 'none') return NOTHING

  const { pipeline, version } = plan
  const partition = origin?.partition ?? deps.partition
  const key = origin?.key ?? compositeKey(partition, pipeline, requestId)
  const headers = [...journalHeaders({ pipeline, version, requestId, callerHeaders }), ...(origin?.marks ?? [])]
  const inputHeaders: JournalHeaders = deps.mark === undefined ? headers : [...headers, [GATEWAY_HEADER, deps.mark]]
  const askedHeaders: JournalHeaders = [...headers, [RUNNER_HEADER, RUNNERS.direct]]
  const headersOf = (edge: number, end: DataEnd, routes: readonly string[]): JournalHeaders => {
    if (edge === plan.inputEdge) return inputHeaders
    if (end.side === 'outputs') return withRoutes(headers, routes)
    return end.kind === 'model' ? askedHeaders : headers
  }
  const outputs: TopicEnd = { kind: 'pipeline', name: pipeline, side: 'outputs' }
  const awaited: Promise<void>[] = []
  let refused = false
  const forReader: Awaiting = origin === undefined ? 'nobody' : 'reader'

  const write = (
    topic: TopicEnd,
    recordHeaders: JournalHeaders,
    message: EdgeMessage | { kind: 'error'; text: string },
    awaiting: Awaiting,
  ): Promise<void> => {
    const isAwaited = awaiting === 'answer'
    const written = journal.record({
      topic,
      key,
      partition,
      headers: recordHeaders,
      message,
      onFailure,
      awaited: isAwaited,
      urgent: awaiting !== 'nobody',
    })
    if (isAwaited) awaited.push(written)
    written.catch((error: unknown) => {
      if (!isAwaited || refused) return
      refused = true
      onRefused(toServingError(error))
    })
    return written
  }
  const writeError = (failure: PipelineFailure, topic: TopicEnd): Promise<void> =>
    write(
      topic,
      errorHeaders(headers, failure),
      { kind: 'error', text: failureText(failure) },
      topic === outputs ? forReader : 'nobody',
    )

  return {
    edge: (edge, end, message, routes) => {
      if (record === 'boundary' && end.kind !== 'pipeline') return
      const isInput = edge === plan.inputEdge
      if (isInput && origin !== undefined) return
      const isAwaited = origin === undefined && (wait === 'all' || (wait === 'input' && isInput))
      const isTerminal = end.kind === 'pipeline' && end.side === 'outputs'
      const awaiting = isAwaited ? 'answer' : isTerminal ? forReader : 'nobody'
      const written = write(end, headersOf(edge, end, routes), message, awaiting)
      if (isTerminal) origin?.onTerminal(written)
    },
    error: (failure) => {
      void writeError(failure, ERRORS)
      const written = writeError(failure, outputs)
      origin?.onTerminal(written)
    },
    sideError: (failure) => {
      void writeError(failure, ERRORS)
    },
    untilAnswerable: () => (awaited.length === 0 ? undefined : Promise.all(awaited).then(() => undefined)),
  }
}
