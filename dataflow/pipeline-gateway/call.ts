/** What the headers of a call say, REST or gRPC: the pipeline, the request id, the deadline, what is passed on. Pure. */
import { ServingError } from '../../kit/errors.ts'
import { ROUTE_HEADER } from '../journal/topics.ts'
import { isPrintable } from '../../kit/http1/fields.ts'

/** What the gateway itself wants of a call's headers. */
export interface CallFields {
  /** The last `seldon-internal-model`, which Envoy gave, and the last `seldon-model`. */
  readonly internalModel: string | undefined
  readonly model: string | undefined
  /** The first. */
  readonly requestId: string | undefined
  /** The last. */
  readonly timeoutMs: string | undefined
}

export const REQUEST_ID_HEADER = 'x-request-id'
export const VERSION_HEADER = 'x-pipeline-version'
export const TIMEOUT_HEADER = 'x-request-timeout-ms'
export const INTERNAL_MODEL_HEADER = 'seldon-internal-model'
export const MODEL_HEADER = 'seldon-model'
const SUFFIX = '.pipeline'

/**
 * The pipeline that is meant: the last name that Envoy gave, else the last one that the caller gave, else the one of the path or
 * message. @throws ServingError REQUEST_INVALID for the name of something else
 */
export function pipelineOf({ internalModel, model }: CallFields, named: string): string {
  const internal = lastOf(internalModel)
  if (internal !== '') return bare(internal, `header ${INTERNAL_MODEL_HEADER}`, true)
  const given = lastOf(model)
  if (given !== '') return bare(given, `header ${MODEL_HEADER}`, true)
  return bare(named, 'the name', false)
}

const lastOf = (value: string | undefined): string =>
  value === undefined ? '' : value.slice(value.lastIndexOf(',') + 1).trim()

/** In a header only `p.pipeline` is a pipeline, as `p` there is a model; a path under /v2/pipelines/ may leave it out. */
function bare(name: string, where: string, isSuffixNeeded: boolean): string {
  const stripped = name.endsWith(SUFFIX) ? name.slice(0, -SUFFIX.length) : name
  if (stripped !== '' && !stripped.includes('.') && (!isSuffixNeeded || stripped !== name)) return stripped
  throw new ServingError('REQUEST_INVALID', `${where} ${JSON.stringify(name)} names no pipeline: write <name>.pipeline`)
}

/** Whether a header of the caller goes to the steps and into the journal. */
export const isPassed = (name: string): boolean =>
  name.startsWith('x-') && !isOfOneHop(name) && name !== TIMEOUT_HEADER && name !== VERSION_HEADER

/** What Envoy or a proxy before it adds for one hop, and what the router says to itself. */
const isOfOneHop = (name: string): boolean =>
  name.startsWith('x-envoy-') || name.startsWith('x-forwarded-') || name.startsWith('x-millrace-')

/** Whether the caller gets a header of its own back: not when the gateway says the same itself. */
export const isEchoed = (name: string): boolean => name !== ROUTE_HEADER && name !== REQUEST_ID_HEADER

/** The shorter of the pipeline's own and what the caller asks for. @throws ServingError REQUEST_INVALID */
export function timeoutOf(asked: string | undefined, ownMs: number): number {
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
export function requestIdOf(given: string | undefined, create: () => string): string {
  const sent = given?.trim()
  if (sent === undefined || sent === '' || sent.length > MAX_REQUEST_ID_CHARS) return create()
  return isPrintable(sent) && !sent.includes(' ') ? sent : create()
}
