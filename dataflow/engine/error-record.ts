/** The error records of a request that no runner ended: on the errors topic, and on the pipeline's outputs as its result. */
import { errorHeaders, failureText, journalHeaders } from '../journal/journal-headers.ts'
import type { Journal, JournalHeaders } from '../journal/journal.ts'
import { ERRORS, type TopicEnd } from '../journal/topics.ts'
import type { PipelineFailure } from '../runner/pipeline-request.ts'
import type { Identity } from './identity.ts'

/** Resolves when both are acknowledged. @throws ServingError of the journal */
export async function writeError(
  journal: Journal,
  { pipeline, version }: { readonly pipeline: string; readonly version: number },
  { key, partition, requestId, headers: callerHeaders, marks }: Identity,
  failure: PipelineFailure,
  moreMarks: JournalHeaders = [],
): Promise<void> {
  const usual = journalHeaders({ pipeline, version, requestId, callerHeaders })
  const headers = errorHeaders([...usual, ...marks, ...moreMarks], failure)
  const message = { kind: 'error', text: failureText(failure) } as const
  const write = (topic: TopicEnd): Promise<void> =>
    journal.record({ topic, key, partition, headers, message, onFailure: 'fail-closed', awaited: false, urgent: true })
  await Promise.all([write(ERRORS), write({ kind: 'pipeline', name: pipeline, side: 'outputs' })])
}
