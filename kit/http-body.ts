/** Request bodies: each up to a size, and all that are held at the same time up to another. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ServingError } from './errors.ts'

export interface BodyLimits {
  readonly maxRequestBytes: number
  readonly maxBufferedBytes: number
}

/**
 * A body counts until its answer has been sent.
 * @throws ServingError REQUEST_TOO_LARGE, SERVER_OVERLOADED, as soon as it is known; CANCELLED when the client goes away
 */
export type BodyReader = (request: IncomingMessage, response: ServerResponse) => Promise<Buffer>

export function createBodyReader(limits: BodyLimits): BodyReader {
  let held = 0
  return async (request, response) => {
    if (response.destroyed) throw gone()
    rejectEncoding(request)
    rejectTooLarge(Number(request.headers['content-length'] ?? 0), limits)
    let size = 0
    response.once('close', () => {
      held -= size
    })
    return await new Promise((resolve, reject) => {
      const chunks: Buffer[] = []
      const take = (chunk: Buffer): void => {
        rejectTooLarge(size + chunk.byteLength, limits)
        rejectOverload(held + chunk.byteLength, limits)
        size += chunk.byteLength
        held += chunk.byteLength
        chunks.push(chunk)
      }
      const onData = (chunk: Buffer): void => {
        try {
          take(chunk)
        } catch (error) {
          chunks.length = 0
          request.off('data', onData)
          reject(error as ServingError)
        }
      }
      request.on('data', onData)
      request.once('end', () => {
        const [only] = chunks
        resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks))
      })
      request.once('close', () => {
        if (!request.complete) reject(gone()) // an error costs a stack trace: none for what has ended well
      })
    })
  }
}

function rejectEncoding(request: IncomingMessage): void {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new ServingError('REQUEST_INVALID', `content-encoding ${encoding} is not supported: send the body as it is`)
}

function rejectTooLarge(bytes: number, { maxRequestBytes }: BodyLimits): void {
  if (bytes > maxRequestBytes)
    throw new ServingError(
      'REQUEST_TOO_LARGE',
      `the body is larger than ${String(maxRequestBytes)} bytes (--max-request-bytes)`,
    )
}

function rejectOverload(bytes: number, { maxBufferedBytes }: BodyLimits): void {
  if (bytes > maxBufferedBytes)
    throw new ServingError(
      'SERVER_OVERLOADED',
      `the bodies of all requests together are larger than ${String(maxBufferedBytes)} bytes (--max-buffered-bytes)`,
    )
}

const gone = () => new ServingError('CANCELLED', 'the client went away while it sent the body')
