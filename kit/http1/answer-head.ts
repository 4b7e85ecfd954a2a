/** The head of an HTTP/1.1 answer, as text. Pure but for the clock. */
import { STATUS_CODES } from 'node:http'

const SECOND_MS = 1_000

/** By status. */
const statusLines = new Map(
  Object.entries(STATUS_CODES).map(([status, text = '']) => [Number(status), `HTTP/1.1 ${status} ${text}\r\n`]),
)

export const statusLine = (status: number): string => statusLines.get(status) ?? `HTTP/1.1 ${String(status)} \r\n`

let second = 0
let text = ''

/** `date: ...`, written once a second. */
export function dateLine(nowMs: number): string {
  const asked = Math.floor(nowMs / SECOND_MS)
  if (asked !== second) {
    second = asked
    text = `date: ${new Date(nowMs).toUTCString()}\r\n`
  }
  return text
}
