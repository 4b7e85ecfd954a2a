/**
 * A child writes its log file itself, so it needs nobody to read a pipe: it goes on when its parent is stopped or gone.
 * Rotation therefore copies the file and truncates it (the child appends), instead of renaming it away.
 */
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from 'node:fs'
import { everyMs } from '../../kit/backoff.ts'
import { parseLogLine } from '../logs/line.ts'

export const LOG_BOUND_BYTES = 10 * 1024 * 1024
const ROTATE_EVERY_MS = 1_000
const TAIL_BYTES = 4 * 1024
const TAIL_LINES = 10

/** Opens for appending; the descriptor is handed to the child and closed here. */
export const openLog = (path: string): number => openSync(path, 'a')

/** Keeps every log and one older copy of it below the bound (looked at once a second) until the signal aborts. */
export function keepLogsBounded(
  paths: () => readonly string[],
  boundBytes: number,
  signal: AbortSignal,
): Promise<void> {
  return everyMs(ROTATE_EVERY_MS, signal, () => {
    for (const path of paths()) rotateIfLarge(path, boundBytes)
  })
}

export function rotateIfLarge(path: string, boundBytes: number): void {
  if (logSize(path) < boundBytes) return
  copyFileSync(path, `${path}.1`)
  truncateSync(path)
}

/** How long the log is now. */
export const logSize = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0

/** The last lines of a log from byte `from` on, indented for an error message; empty when there are none. */
export const logTail = (path: string, from = 0): string =>
  lastLines(path, from)
    .map((line) => `    ${line}`)
    .join('\n')

/** The last error that a process of ours logged from byte `from` on, in its own words; undefined when it logged none. */
export function lastError(path: string, from = 0): string | undefined {
  for (const raw of lastLines(path, from).toReversed()) {
    const { level, fields } = parseLogLine('', raw, undefined)
    const { code, error } = fields
    if (level !== 'error' || typeof error !== 'string') continue
    const [text = ''] = error.split('\n') // the rest is a stack
    return typeof code === 'string' ? `${code}: ${text}` : text
  }
  return undefined
}

function lastLines(path: string, from: number): readonly string[] {
  const size = logSize(path)
  const start = Math.max(from <= size ? from : 0, size - TAIL_BYTES) // shorter than `from`: rotated since
  if (size <= start) return []
  const descriptor = openSync(path, 'r')
  try {
    const buffer = Buffer.alloc(size - start)
    readSync(descriptor, buffer, 0, buffer.length, start)
    return buffer.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES)
  } finally {
    closeSync(descriptor)
  }
}
