/** One POST over node:http: unlike fetch it may set any header and waits as long as the caller says. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import { toContext, type WatchedCertificates } from '../../kit/certificates.ts'
import { ServingError } from '../../kit/errors.ts'

export interface HttpReply {
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

/** @throws ServingError INGRESS_UNAVAILABLE, DEADLINE_EXCEEDED, REQUEST_TOO_LARGE (the answer) */
export function postJson(options: {
  readonly url: URL
  readonly body: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  readonly tls?: WatchedCertificates | undefined
}): Promise<HttpReply> {
  const { url, timeoutMs } = options
  const body = Buffer.from(options.body, 'utf8')
  const standard = { 'content-type': 'application/json', accept: 'application/json' }
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void => {
      reject(toRequestError(error, url, timeoutMs))
    }
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest
    const request = send(url, {
      method: 'POST',
      ...(url.protocol === 'https:' && options.tls ? toContext(options.tls.current()) : {}),
      agent: false, // the connection ends with the call
      headers: { ...standard, ...options.headers, 'content-length': String(body.byteLength) },
      signal: AbortSignal.timeout(timeoutMs),
    })
    request.once('error', fail)
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.byteLength
        chunks.push(chunk)
        if (size > MAX_MESSAGE_BYTES) request.destroy(new ServingError('REQUEST_TOO_LARGE', answerTooLarge(url)))
      })
      response.once('error', fail)
      response.once('end', () => {
        const headers = Object.entries(response.headers).map(([name, value]) => [name, String(value)] as const)
        resolve({
          status: response.statusCode ?? 0,
          headers: Object.fromEntries(headers),
          body: Buffer.concat(chunks),
        })
      })
    })
    request.end(body)
  })
}

const answerTooLarge = (url: URL): string =>
  `the answer of ${url.host} is larger than the limit of ${String(MAX_MESSAGE_BYTES)} bytes`

function toRequestError(error: Error, url: URL, timeoutMs: number): ServingError {
  if (error instanceof ServingError) return error
  if (error.name === 'AbortError' || error.name === 'TimeoutError')
    return new ServingError('DEADLINE_EXCEEDED', `${url.host} gave no answer within ${String(timeoutMs)} ms`, {
      cause: error,
    })
  const reason = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message
  return new ServingError('INGRESS_UNAVAILABLE', `${url.host} cannot be reached: ${reason}`, { cause: error })
}
