/** What request bodies may be: each up to a size, and all that are held at the same time up to another. Pure. */
import { ServingError } from './errors.ts'

export interface BodyLimits {
  readonly maxRequestBytes: number
  readonly maxBufferedBytes: number
}

/** @throws ServingError REQUEST_INVALID */
export function rejectEncoding(encoding: string | undefined): void {
  if (encoding !== undefined && encoding !== 'identity')
    throw new ServingError('REQUEST_INVALID', `content-encoding ${encoding} is not supported: send the body as it is`)
}

/** @throws ServingError REQUEST_TOO_LARGE */
export function rejectTooLarge(bytes: number, { maxRequestBytes }: BodyLimits): void {
  if (bytes > maxRequestBytes)
    throw new ServingError(
      'REQUEST_TOO_LARGE',
      `the body is larger than ${String(maxRequestBytes)} bytes (--max-request-bytes)`,
    )
}

/** @throws ServingError SERVER_OVERLOADED */
export function rejectOverload(bytes: number, { maxBufferedBytes }: BodyLimits): void {
  if (bytes > maxBufferedBytes)
    throw new ServingError(
      'SERVER_OVERLOADED',
      `the bodies of all requests together are larger than ${String(maxBufferedBytes)} bytes (--max-buffered-bytes)`,
    )
}

export const goneWhileSending = (): ServingError =>
  new ServingError('CANCELLED', 'the client went away while it sent the body')
