/**
 * Who a record of `<pipeline>.inputs` is: its request's key, partition, id and headers. The same record has the same ones
 * whenever it is read, so that what is run twice is known to be the same. Pure.
 */
import { headerOf } from '../journal/decode.ts'
import type { JournalHeaders } from '../journal/journal.ts'
import {
  compositeKey,
  FED_HEADER,
  GATEWAY_HEADER,
  partitionOfKey,
  REPLAY_OF_HEADER,
  REPLAYED_HEADER,
  RUNNER_HEADER,
  RUNNERS,
  ROUTE_HEADER,
} from '../journal/topics.ts'
import type { IncomingRecord, RecordHeaders } from '../kafka/client.ts'
import type { CallHeaders } from '../model-client/model-client.ts'
import { isPassed, REQUEST_ID_HEADER, requestIdOf } from '../pipeline-gateway/call.ts'

/** The key that a user gave, when the records of the request have one of ours. */
const KEY_HEADER = 'x-millrace-key'

export interface Identity {
  readonly key: string
  readonly partition: number
  readonly requestId: string
  /** For the steps and all records. */
  readonly headers: CallHeaders
  /** For all records: what the feeder's key was, and which request this one repeats. */
  readonly marks: JournalHeaders
}

/** Keys of our form are kept, as those of other pipelines' requests; any other gets one, and goes along in a header. */
export function identify(record: IncomingRecord, pipeline: string, partitions: number): Identity {
  const { key, headers } = record
  if (headerOf(headers, FED_HEADER) !== undefined) return fedIdentity(record, partitions)
  const given = ownId(key, pipeline)
  const sentId = requestIdIn(headers)
  const passed = passedOf(record)
  const first = headerOf(headers, REPLAY_OF_HEADER)
  const marks: JournalHeaders = first === undefined ? [] : [[REPLAY_OF_HEADER, first]]
  if (given !== undefined) {
    const requestId = requestIdOf(sentId, () => given)
    return { key, partition: partitionOfKey(key, partitions), requestId, headers: passed, marks }
  }
  const id = `${record.timestampMs.toString(36)}-${String(record.partition)}-${String(record.offset)}`
  const partition = Math.min(record.partition, partitions - 1)
  return {
    key: compositeKey(partition, pipeline, id),
    partition,
    requestId: requestIdOf(sentId, () => id),
    headers: passed,
    marks: key === '' ? marks : [[KEY_HEADER, key], ...marks],
  }
}

/** Of a record on a step's topics: requests go by its key, whoever gave it. */
export function identifyStep(record: IncomingRecord, pipeline: string, partitions: number): Identity {
  const own = identify(record, pipeline, partitions)
  const headers = own.headers.filter(([name]) => name !== ROUTE_HEADER)
  if (record.key === '') return { ...own, headers }
  const given = headerOf(record.headers, KEY_HEADER)
  const others = own.marks.filter(([name]) => name !== KEY_HEADER)
  return { ...own, key: record.key, headers, marks: given === undefined ? others : [[KEY_HEADER, given], ...others] }
}

/** Of a record of another pipeline's request, or of what came of one: its key, and what it is marked with, stay. */
export function fedIdentity(record: IncomingRecord, partitions: number): Identity {
  const { key, headers } = record
  const [, id = key] = /^\d{1,9}\.[^.]+\.(.+)$/.exec(key) ?? []
  return {
    key,
    partition: Math.min(record.partition, partitions - 1),
    requestId: requestIdOf(requestIdIn(headers), () => id),
    headers: passedOf(record),
    marks: headers.filter(([name]) => KEPT.has(name)),
  }
}

const KEPT: ReadonlySet<string> = new Set([KEY_HEADER, FED_HEADER, REPLAYED_HEADER, REPLAY_OF_HEADER])

const passedOf = ({ headers }: IncomingRecord): CallHeaders =>
  headers
    .map(([name, value]) => [name.toLowerCase(), value] as const)
    .filter(([name]) => isPassed(name) && name !== REQUEST_ID_HEADER)

/** Which gateway runs it, `<name>/<epoch>`; undefined: none, it is for an engine. */
export const gatewayOf = ({ headers }: Pick<IncomingRecord, 'headers'>): string | undefined =>
  isOfTopicsRunner(headers) ? undefined : headerOf(headers, GATEWAY_HEADER)

/** On a pipeline's inputs: a gateway waits for its result. On a step's topics: a runner over topics asked for it. */
export const isOfTopicsRunner = (headers: RecordHeaders): boolean => headerOf(headers, RUNNER_HEADER) === RUNNERS.topics

/** The first, as of a caller's. */
const requestIdIn = (headers: RecordHeaders): string | undefined =>
  headers.find(([name]) => name.toLowerCase() === REQUEST_ID_HEADER)?.[1]

/** `<partition>.<pipeline>.<id>`. */
function ownId(key: string, pipeline: string): string | undefined {
  const [, number, rest] = /^(\d{1,9})\.(.+)$/.exec(key) ?? []
  const start = `${pipeline}.`
  if (number === undefined || rest?.startsWith(start) !== true) return undefined
  return rest.length > start.length ? rest.slice(start.length) : undefined
}
