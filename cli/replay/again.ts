/** A recorded input as it is fed again: a request of its own, which names the one it repeats. Pure. */
import {
  compositeKey,
  ERROR_CODE_HEADER,
  ERROR_STATUS_HEADER,
  ERRORS_HEADER,
  GATEWAY_HEADER,
  REPLAY_OF_HEADER,
  REPLAYED_HEADER,
  REQUEST_ID_HEADER,
  RUNNER_HEADER,
  VERSION_HEADER,
  VISIT_HEADER,
} from '../../dataflow/journal/topics.ts'
import type { IncomingRecord, OutgoingRecord } from '../../dataflow/kafka/client.ts'

/** Of the first run: who ran it, which version did, and under which id. */
const OF_THE_FIRST: ReadonlySet<string> = new Set([
  ERROR_CODE_HEADER,
  ERROR_STATUS_HEADER,
  ERRORS_HEADER,
  GATEWAY_HEADER,
  REPLAY_OF_HEADER,
  REPLAYED_HEADER,
  REQUEST_ID_HEADER,
  RUNNER_HEADER,
  VERSION_HEADER,
  VISIT_HEADER,
])

export interface Wanted {
  /** When it was written: from, to before. */
  readonly fromMs: number
  readonly toMs: number
  /** Undefined: all. */
  readonly requestId: string | undefined
}

export const headerIn = ({ headers }: Pick<IncomingRecord, 'headers'>, name: string): string | undefined =>
  headers.find(([given]) => given.toLowerCase() === name)?.[1]

/** Whether it shall be fed again; what was fed again before is left out. */
export function isWanted(record: IncomingRecord, { fromMs, toMs, requestId }: Wanted): boolean {
  const { timestampMs, key } = record
  if (timestampMs < fromMs || timestampMs >= toMs || headerIn(record, REPLAY_OF_HEADER) !== undefined) return false
  return requestId === undefined || key === requestId || headerIn(record, REQUEST_ID_HEADER) === requestId
}

/** Without a gateway's mark it is run by an engine, with the version that serves then. */
export function toAgain(record: IncomingRecord, pipeline: string, newId: string): OutgoingRecord {
  const { topic, partition, value, headers, key } = record
  return {
    topic,
    partition,
    key: compositeKey(partition, pipeline, newId),
    value,
    headers: [
      ...headers.filter(([name]) => !OF_THE_FIRST.has(name.toLowerCase())),
      [REQUEST_ID_HEADER, newId],
      [REPLAY_OF_HEADER, key],
    ],
  }
}
