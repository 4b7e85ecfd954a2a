/** An answer of the REST interface, and how it is sent. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { JSON_LENGTH_HEADER, type RestBody } from './rest-message.ts'

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | number>>
  readonly chunks: readonly Uint8Array[]
}

/** How long a client that was refused may go on sending before its connection is closed. */
const LINGER_MS = 1_000

export function jsonAnswer(status: number, content: unknown): Answer {
  const bytes = Buffer.from(JSON.stringify(content), 'utf8')
  const headers = { 'content-type': 'application/json', 'content-length': bytes.byteLength }
  return { status, headers, chunks: [bytes] }
}

export function tensorsAnswer({ chunks, byteLength, jsonLength }: RestBody): Answer {
  const headers =
    jsonLength === undefined
      ? { 'content-type': 'application/json', 'content-length': byteLength }
      : { 'content-type': 'application/octet-stream', 'content-length': byteLength, [JSON_LENGTH_HEADER]: jsonLength }
  return { status: 200, headers, chunks }
}

/** Sends it; with `last`, the connection is closed afterwards. */
export function send(request: IncomingMessage, response: ServerResponse, answer: Answer, last: boolean): void {
  if (response.destroyed) return
  const refused = answer.status >= 400 && !request.complete // the body is still coming in
  if (last || refused) response.shouldKeepAlive = false // else as the client asked
  response.cork() // head and body in one packet
  response.writeHead(answer.status, answer.headers)
  for (const chunk of answer.chunks) response.write(chunk)
  response.uncork()
  if (refused) endWhenSilent(request, response)
  else response.end()
}

/** Closing while the client sends could reset the connection before it has read the answer. */
function endWhenSilent(request: IncomingMessage, response: ServerResponse): void {
  const end = (): void => {
    clearTimeout(deadline)
    response.end()
  }
  const deadline = setTimeout(end, LINGER_MS)
  request.once('end', end).once('close', end).resume()
}
