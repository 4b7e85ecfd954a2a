/** Headers of a request's records. Pure. */
import { status } from '@grpc/grpc-js'
import type { IncomingRecord } from '../kafka/client.ts'
import { type SourcedFailure, toModelFailure } from '../model-client/model-failure.ts'
import { headerOf } from './decode.ts'
import type { JournalHeaders } from './journal.ts'
import {
  ERROR_CODE_HEADER,
  ERROR_STATUS_HEADER,
  ERRORS_HEADER,
  PIPELINE_HEADER,
  REPLAYED_HEADER,
  REQUEST_ID_HEADER,
  ROUTE_HEADER,
  VERSION_HEADER,
} from './topics.ts'

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
  const headers: (readonly [string, string])[] = [
    [PIPELINE_HEADER, pipeline],
    [VERSION_HEADER, String(version)],
    [REQUEST_ID_HEADER, requestId],
  ]
  for (const header of callerHeaders) {
    const name = header[0].toLowerCase()
    if (name.startsWith('x-') && !OWN.has(name)) headers.push(name === header[0] ? header : [name, header[1]])
  }
  return headers
}

/** Of an answer's record: with the routes that its steps took. */
export function withRoutes(headers: JournalHeaders, routes: Iterable<string>): JournalHeaders {
  let all: (readonly [string, string])[] | undefined // there are none, or one or two
  for (const route of routes) {
    if (isRouted(all ?? headers, route)) continue
    all ??= [...headers]
    all.push([ROUTE_HEADER, route])
  }
  return all ?? headers
}

const isRouted = (headers: JournalHeaders, route: string): boolean =>
  headers.some((header) => header[1] === route && header[0].toLowerCase() === ROUTE_HEADER)

/** Of what a broker may have already, or what comes later than it should. */
export const markedAsReplayed = (headers: JournalHeaders): JournalHeaders =>
  headers.some(([name]) => name === REPLAYED_HEADER) ? headers : [...headers, [REPLAYED_HEADER, '1']]

export const routesOf = (headers: JournalHeaders): readonly string[] =>
  headers.filter(([name]) => name.toLowerCase() === ROUTE_HEADER).map(([, value]) => value)

const OF_FAILURES: ReadonlySet<string> = new Set([ERRORS_HEADER, ERROR_CODE_HEADER, ERROR_STATUS_HEADER])

/** Of an error's record: who failed, and how, so that a gateway can answer with the failure's own class. */
export const errorHeaders = (
  headers: JournalHeaders,
  { source, code, grpcStatus }: Omit<SourcedFailure, 'message' | 'httpStatus'>,
): JournalHeaders => [
  ...headers.filter(([name]) => !OF_FAILURES.has(name)),
  [ERRORS_HEADER, source],
  [ERROR_CODE_HEADER, code],
  [ERROR_STATUS_HEADER, String(grpcStatus)],
]

/** What a caller reads: who failed, and its own words. */
export const failureText = ({ source, message }: Pick<SourcedFailure, 'source' | 'message'>): string =>
  `${source} : ${message}`

/** The failure that a record tells of; undefined: it is no error. Of errors without a code the class is that of any failure. */
export function readFailure({ headers, value }: Pick<IncomingRecord, 'headers' | 'value'>): SourcedFailure | undefined {
  const source = headerOf(headers, ERRORS_HEADER)
  if (source === undefined) return undefined
  const text = value.toString('utf8')
  const begin = failureText({ source, message: '' })
  const message = text.startsWith(begin) ? text.slice(begin.length) : text
  const given = headerOf(headers, ERROR_STATUS_HEADER) ?? ''
  const grpcStatus = /^(?:[1-9]|1[0-6])$/.test(given) ? Number(given) : status.UNKNOWN
  return { source, ...toModelFailure(grpcStatus, message, headerOf(headers, ERROR_CODE_HEADER)) }
}
