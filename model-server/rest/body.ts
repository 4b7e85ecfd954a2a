/** Request bodies, up to a size. */
import type { IncomingMessage } from 'node:http'
import { ServingError } from '../../kit/errors.ts'

/** @throws ServingError REQUEST_TOO_LARGE, as soon as it is known; CANCELLED when the client goes away */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const encoding = request.headers['content-encoding']
  if (encoding !== undefined && encoding !== 'identity')
    throw new ServingError('REQUEST_INVALID', `content-encoding ${encoding} is not supported: send the body as it is`)
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes)
  return await new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    request.on('data', (chunk: Buffer) => {
      size += chunk.byteLength
      if (size > maxBytes) {
        chunks.length = 0
        reject(tooLarge(maxBytes))
      } else chunks.push(chunk)
    })
    request.once('end', () => {
      const [only] = chunks
      resolve(chunks.length === 1 && only !== undefined ? only : Buffer.concat(chunks))
    })
    request.once('close', () => {
      reject(new ServingError('CANCELLED', 'the client went away while it sent the body'))
    })
  })
}

const tooLarge = (maxBytes: number) =>
  new ServingError('REQUEST_TOO_LARGE', `the body is larger than ${String(maxBytes)} bytes (--max-request-bytes)`)
