/** How a call of a model ended without an answer: an expected ending, so a value. Pure. */
import { status } from '@grpc/grpc-js'
import { catalogue, type ErrorCode } from '../../kit/errors.ts'

export interface ModelFailure {
  readonly code: ErrorCode
  /** What a gRPC caller is answered. */
  readonly grpcStatus: number
  /** What a REST caller is answered. */
  readonly httpStatus: number
  readonly message: string
}

export interface SourcedFailure extends ModelFailure {
  /** The step that failed, or the pipeline when no step did. */
  readonly source: string
}

/** What a status means when the model server sent no code of ours. */
const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'REQUEST_INVALID',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'MODEL_NOT_FOUND',
  [status.RESOURCE_EXHAUSTED]: 'SERVER_OVERLOADED',
  [status.FAILED_PRECONDITION]: 'REQUEST_INVALID',
  [status.OUT_OF_RANGE]: 'REQUEST_INVALID',
  [status.UNIMPLEMENTED]: 'MODEL_NOT_FOUND', // Envoy's 404, the only one that says it without a code
  [status.UNAVAILABLE]: 'SERVER_UNAVAILABLE',
}
/** Envoy says 404 as UNIMPLEMENTED. */
const HEARD_AS: Readonly<Record<number, number>> = { [status.UNIMPLEMENTED]: status.NOT_FOUND }

/** `sent` is the value of `x-millrace-error-code`, when there was one. */
export function toModelFailure(grpcStatus: number, message: string, sent: string | undefined): ModelFailure {
  if (sent !== undefined && Object.hasOwn(catalogue, sent)) {
    const code = sent as ErrorCode
    return { code, grpcStatus, httpStatus: catalogue[code].http, message }
  }
  const code = CODE_BY_STATUS[grpcStatus] ?? 'INFERENCE_FAILED'
  return { code, grpcStatus: HEARD_AS[grpcStatus] ?? grpcStatus, httpStatus: catalogue[code].http, message }
}

/** An ending that was found on our side. */
export const ownFailure = (code: ErrorCode, message: string): ModelFailure => ({
  code,
  grpcStatus: catalogue[code].grpc,
  httpStatus: catalogue[code].http,
  message,
})
