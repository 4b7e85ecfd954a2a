import { Metadata, type Server, ServerCredentials, status, type ServiceError, type StatusObject } from '@grpc/grpc-js'
import { catalogue, type ErrorCode, ServingError, toServingError } from './errors.ts'
import type { Running } from './lifecycle.ts'

/** The metadata key that carries our error code beside the gRPC status. */
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
  return { code: statusFor(failure.code), details: failure.message, metadata }
}

/** The inverse, for clients: our code when the peer sent one, else one by status. `peer` is named in the message. */
export function fromGrpcError(error: unknown, peer: string): ServingError {
  if (!(error instanceof Error) || !('code' in error)) return toServingError(error)
  const failure = error as ServiceError
  const sent = failure.metadata?.get(ERROR_CODE_KEY)[0]?.toString()
  const message = failure.details || failure.message
  if (sent !== undefined && Object.hasOwn(catalogue, sent))
    return new ServingError(sent as ErrorCode, message, { cause: error })
  if (failure.code === status.UNAVAILABLE)
    return new ServingError('SCHEDULER_UNAVAILABLE', `${peer} cannot be reached: ${message}`, { cause: error })
  if (failure.code === status.DEADLINE_EXCEEDED)
    return new ServingError('DEADLINE_EXCEEDED', `${peer}: ${message}`, { cause: error })
  if (failure.code === status.UNIMPLEMENTED)
    return new ServingError('UNIMPLEMENTED', `${peer}: ${message}`, { cause: error })
  return new ServingError('REQUEST_INVALID', `${peer}: ${message}`, { cause: error })
}

/** Binds and starts a gRPC server. @throws ServingError PORT_IN_USE */
export async function serveGrpc(
  server: Server,
  host: string,
  port: number,
): Promise<Running & { readonly port: number }> {
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${host}:${String(port)}`, ServerCredentials.createInsecure(), (error, actual) => {
      if (error)
        reject(
          new ServingError('PORT_IN_USE', `port ${String(port)} on ${host} cannot be used: ${error.message}`, {
            cause: error,
          }),
        )
      else resolve(actual)
    })
  })
  return {
    port: bound,
    stop: () =>
      new Promise((resolve) => {
        const force = setTimeout(() => {
          server.forceShutdown()
        }, STOP_DEADLINE_MS)
        server.tryShutdown(() => {
          clearTimeout(force)
          resolve()
        })
      }),
  }
}
