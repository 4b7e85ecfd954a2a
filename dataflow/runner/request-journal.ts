/**
 * The records of one request, and what its answer waits for.
 *
 * I8: with `wait: input` a request is answered only after the record of its input was acknowledged.
 */
import { ServingError, toServingError } from '../../kit/errors.ts'
import type { EdgeMessage } from '../executor/types.ts'
import { errorHeaders, journalHeaders } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { compositeKey, ERRORS, type TopicEnd } from '../journal/topics.ts'
import type { DataEnd } from '../plan/reference.ts'
import { failureText, type PipelineFailure, type PipelineRequest } from './pipeline-request.ts'

export interface RequestJournal {
  readonly edge: (edge: number, end: DataEnd, message: EdgeMessage) => void
  readonly error: (failure: PipelineFailure) => void
  /** Settles when an answer may go out. @throws ServingError of the journal */
  readonly untilAnswerable: () => Promise<void> | undefined
}

/** `onRefused` is called at most once, as soon as a record that the answer waits for was refused. */
export function createRequestJournal(
  journal: Journal,
  { plan, journal: settings, requestId, headers: callerHeaders }: PipelineRequest,
  partition: number,
  onRefused: (error: ServingError) => void,
): RequestJournal {
  const { record, wait, onFailure } = settings
  if (record === 'none' || journal.status().kind === 'none')
    return { edge: () => undefined, error: () => undefined, untilAnswerable: () => undefined }

  const { pipeline, version } = plan
  const key = compositeKey(partition, pipeline, requestId)
  const headers = journalHeaders({ pipeline, version, requestId, callerHeaders })
  const awaited: Promise<void>[] = []
  let refused = false

  const write = (
    topic: TopicEnd,
    recordHeaders: JournalHeaders,
    message: EdgeMessage | { kind: 'error'; text: string },
    isAwaited: boolean,
  ): void => {
    const written = journal.record({
      topic,
      key,
      partition,
      headers: recordHeaders,
      message,
      onFailure,
      awaited: isAwaited,
    })
    if (isAwaited) awaited.push(written)
    written.catch((error: unknown) => {
      if (!isAwaited || refused) return
      refused = true
      onRefused(toServingError(error))
    })
  }

  return {
    edge: (edge, end, message) => {
      if (record === 'boundary' && end.kind !== 'pipeline') return
      write(end, headers, message, wait === 'all' || (wait === 'input' && edge === plan.inputEdge))
    },
    error: (failure) => {
      const marked = errorHeaders(headers, failure.source)
      const message = { kind: 'error', text: failureText(failure) } as const
      write(ERRORS, marked, message, false)
      write({ kind: 'pipeline', name: pipeline, side: 'outputs' }, marked, message, false)
    },
    untilAnswerable: () => (awaited.length === 0 ? undefined : Promise.all(awaited).then(() => undefined)),
  }
}
