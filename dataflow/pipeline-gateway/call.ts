/** What the headers of a call say, REST or gRPC: the pipeline, the request id, the deadline, what is passed on. Pure. */
import { ServingError } from '../../kit/errors.ts'
import { ROUTE_HEADER } from '../journal/topics.ts'
import type { CallHeaders } from '../model-client/model-client.ts'

/** Lower-case names; several values of one name stay apart. */
export type HeaderValues = (name: string) => readonly string[]

export const REQUEST_ID_HEADER = 'x-request-id'
export const VERSION_HEADER = 'x-pipeline-version'
export const TIMEOUT_HEADER = 'x-request-timeout-ms'
const NAME_HEADERS = ['seldon-internal-model', 'seldon-model'] as const
const SUFFIX = '.pipeline'

/**
 * The pipeline that is meant: the last name that Envoy gave, else the last one that the caller gave, else the one of the path or
 * message. @throws ServingError REQUEST_INVALID for the name of something else
 */
export function pipelineOf(values: HeaderValues, named: string): string {
  for (const header of NAME_HEADERS) {
    const last = values(header).at(-1)?.split(',').at(-1)?.trim()
    if (last !== undefined && last !== '') return bare(last, `header ${header}`, true)
  }
  return bare(named, 'the name', false)
}

/** In a header only `p.pipeline` is a pipeline, as `p` there is a model; a path under /v2/pipelines/ may leave it out. */
function bare(name: string, where: string, isSuffixNeeded: boolean): string {
  const stripped = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name
  if (stripped !== '' && !stripped.includes('.') && (!isSuffixNeeded || stripped !== name)) return stripped
  throw new ServingError('REQUEST_INVALID', `${where} ${JSON.stringify(name)} names no pipeline: write <name>.pipeline`)
}

/** What Envoy or a proxy before it adds for one hop, and what the router says to itself. */
const OF_ONE_HOP = /^x-(?:envoy-|forwarded-|millrace-)/
const OWN: ReadonlySet<string> = new Set([TIMEOUT_HEADER, VERSION_HEADER])

/** Whether a header of the caller goes to the steps and into the journal. */
export const isPassed = (name: string): boolean => name.startsWith('x-') && !OF_ONE_HOP.test(name) && !OWN.has(name)

/** What the caller gets back: its own headers, but for what the gateway says itself. */
export const echoed = (headers: CallHeaders): CallHeaders =>
  headers.filter(([name]) => name !== ROUTE_HEADER && name !== REQUEST_ID_HEADER)

/** The shorter of the pipeline's own and what the caller asks for. @throws ServingError REQUEST_INVALID */
export function timeoutOf(values: HeaderValues, ownMs: number): number {
  const asked = values(TIMEOUT_HEADER).at(-1)
  if (asked === undefined) return ownMs
  if (!/^\d{1,12}$/.test(asked.trim()) || Number(asked) === 0)
    throw new ServingError(
      'REQUEST_INVALID',
      `header ${TIMEOUT_HEADER} "${asked}" must be milliseconds, a whole number from 1`,
    )
  return Math.min(Number(asked), ownMs)
}

const MAX_REQUEST_ID_CHARS = 256

/** The caller's, when it can stand in a header and a key. */
export function requestIdOf(values: HeaderValues, create: () => string): string {
  const sent = values(REQUEST_ID_HEADER).at(0)?.trim()
  return sent === undefined || !/^[\x21-\x7e]+$/.test(sent) || sent.length > MAX_REQUEST_ID_CHARS ? create() : sent
}
