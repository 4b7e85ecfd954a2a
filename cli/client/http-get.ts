/** One GET of what a process says of itself: over TLS and with the token where the session has them. */
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { toContext } from '../../kit/certificates.ts'
import type { Session } from '../session.ts'

export interface HttpGot {
  readonly status: number
  readonly text: string
  /** What it says is the time; NaN when it does not. */
  readonly dateMs: number
}

const MAX_BYTES = 256 * 1024 * 1024 // the metrics of many models

/** @throws Error when there is no answer within the deadline */
export function httpGet(url: URL, caller: Pick<Session, 'tls' | 'token'>, deadlineMs: number): Promise<HttpGot> {
  return new Promise((resolve, reject) => {
    const isTls = url.protocol === 'https:'
    const request = (isTls ? httpsRequest : httpRequest)(url, {
      ...(isTls && caller.tls ? toContext(caller.tls.current()) : {}),
      agent: false,
      headers: caller.token === undefined ? {} : { authorization: `Bearer ${caller.token}` },
      signal: AbortSignal.timeout(deadlineMs),
    })
    request.once('error', (error) => {
      const isLate = error.name === 'AbortError' || error.name === 'TimeoutError'
      reject(isLate ? new Error(`no answer within ${String(deadlineMs)} ms`, { cause: error }) : error)
    })
    request.once('response', (response) => {
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.byteLength
        if (size > MAX_BYTES) request.destroy(new Error(`its answer is larger than ${String(MAX_BYTES)} bytes`))
      })
      response.once('error', reject)
      response.once('end', () => {
        const dateMs = Date.parse(response.headers.date ?? '')
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8'), dateMs })
      })
    })
    request.end()
  })
}
