import { Metadata, type Server, ServerCredentials, status, type ServiceError, type StatusObject } from '@grpc/grpc-js'
import { catalogue, type ErrorCode, ServingError, toServingError } from './errors.ts'
import { toListenError } from './http.ts'
import type { Running } from './lifecycle.ts'

/** The metadata key, or HTTP header, that carries our error code beside the status. */
export const ERROR_CODE_KEY = 'x-millrace-error-code'
const STOP_DEADLINE_MS = 2_000

/** A gRPC status for any error; `statusFor` lets a compatible API answer with what its clients understand. */
export function toGrpcStatus(
  error: unknown,
  statusFor: (code: ErrorCode) => number = (code) => catalogue[code].grpc,
): StatusObject {
  const failure = toServingError(error)
  const metadata = new Metadata()
  metadata.set(ERROR_CODE_KEY, failure.code)
  return { code: statusFor(failure.code), details: shorten(failure.message), metadata }
}

/** A status travels in trailers: a larger one than a peer takes never arrives, and the call hangs until its deadline. */
const MAX_DETAILS_CHARS = 4_000

function shorten(message: string): string {
  const left = message.length - MAX_DETAILS_CHARS
  return left > 0 ? `${message.slice(0, MAX_DETAILS_CHARS)}... (${String(left)} more characters)` : message
}

/** What a status means when the peer sent no code of ours. */
const CODE_BY_STATUS: Readonly<Record<number, ErrorCode>> = {
  [status.CANCELLED]: 'CANCELLED',
  [status.INVALID_ARGUMENT]: 'REQUEST_INVALID',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.RESOURCE_EXHAUSTED]: 'REQUEST_TOO_LARGE', // grpc-js: a message above the limit
  [status.UNIMPLEMENTED]: 'UNIMPLEMENTED',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
}

/**
 * The inverse, for clients: our code when the peer sent one, else one by status. `peer` is named in the message and
 * `unavailable` is the code for one that cannot be reached.
 */
export function fromGrpcError(
  error: unknown,
  peer: string,
  unavailable: ErrorCode = 'SCHEDULER_UNAVAILABLE',
): ServingError {
  if (!isServiceError(error)) return toServingError(error)
  const sent = error.metadata?.get(ERROR_CODE_KEY)[0]?.toString()
  const message = error.details || error.message
  if (sent !== undefined && Object.hasOwn(catalogue, sent))
    return new ServingError(sent as ErrorCode, message, { cause: error })
  if (error.code === status.UNAVAILABLE)
    return new ServingError(unavailable, `${peer} cannot be reached: ${unreachableReason(message)}`, { cause: error })
  const name = status[error.code] ?? String(error.code)
  return new ServingError(CODE_BY_STATUS[error.code] ?? 'PEER_FAILED', `${peer} answered ${name}: ${message}`, {
    cause: error,
  })
}

/** What grpc-js wraps in sentences about its own workings. */
const unreachableReason = (message: string): string =>
  /Last error: (?:Error: )?(?<reason>.+?)\.? Resolution note:/.exec(message)?.groups?.['reason'] ?? message

type PartialServiceError = Pick<ServiceError, 'code' | 'message'> & Partial<Pick<ServiceError, 'details' | 'metadata'>>

/** Errors of the system have a `code` too, but theirs is text. */
function isServiceError(error: unknown): error is PartialServiceError {
  return error instanceof Error && 'code' in error && typeof error.code === 'number'
}

/** Binds and starts a gRPC server; stopping waits for calls in flight until the deadline. @throws ServingError PORT_IN_USE */
export async function serveGrpc(
  server: Server,
  host: string,
  port: number,
  stopDeadlineMs = STOP_DEADLINE_MS,
  credentials = ServerCredentials.createInsecure(),
): Promise<Running & { readonly port: number }> {
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${String(port)}`, credentials, (error, actual) => {
      if (error) reject(toListenError(error, host, port))
      else resolve(actual)
    })
  })
  return {
    port: bound,
    stop: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => {
          server.forceShutdown()
        }, stopDeadlineMs)
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      }),
  }
}
