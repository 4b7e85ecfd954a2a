/** Request bodies of node's http server, within limits. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { type BodyLimits, goneWhileSending, rejectEncoding, rejectOverload, rejectTooLarge } from './body-limits.ts'
import type { ServingError } from './errors.ts'

/**
 * A body counts until its answer has been sent.
 * @throws ServingError REQUEST_TOO_LARGE, SERVER_OVERLOADED, as soon as it is known; CANCELLED when the client goes away
 */
export type BodyReader = (request: IncomingMessage, response: ServerResponse) => Promise<Buffer>

export function createBodyReader(limits: BodyLimits): BodyReader {
  let held = 0
  return async (request, response) => {
    if (response.destroyed) throw goneWhileSending()
    rejectEncoding(request.headers['content-encoding'])
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
        if (!request.complete) reject(goneWhileSending()) // an error costs a stack trace: none for what has ended well
      })
    })
  }
}
