/** Headers of a request's records. Pure. */
import type { JournalHeaders } from './journal.ts'
import { ERRORS_HEADER, PIPELINE_HEADER, REQUEST_ID_HEADER, VERSION_HEADER } from './topics.ts'

export interface RecordOrigin {
  readonly pipeline: string
  readonly version: number
  readonly requestId: string
  /** Headers of the caller, any of them: those that belong into Kafka are taken. */
  readonly callerHeaders: Iterable<readonly [name: string, value: string]>
}

const OWN: ReadonlySet<string> = new Set([PIPELINE_HEADER, VERSION_HEADER, REQUEST_ID_HEADER, ERRORS_HEADER])

/** The pipeline, its version, the request id and every other `x-*` of the caller, whose names are lower-cased. */
export function journalHeaders({ pipeline, version, requestId, callerHeaders }: RecordOrigin): JournalHeaders {
  const forwarded: (readonly [string, string])[] = []
  for (const [given, value] of callerHeaders) {
    const name = given.toLowerCase()
    if (name.startsWith('x-') && !OWN.has(name)) forwarded.push([name, value])
  }
  return [[PIPELINE_HEADER, pipeline], [VERSION_HEADER, String(version)], [REQUEST_ID_HEADER, requestId], ...forwarded]
}

/** Of an error's record: `source` is the step that failed, or the pipeline. */
export const errorHeaders = (headers: JournalHeaders, source: string): JournalHeaders => [
  ...headers.filter(([name]) => name !== ERRORS_HEADER),
  [ERRORS_HEADER, source],
]
