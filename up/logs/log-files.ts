/** The logs of the processes of `up`, read from their files: `<name>.log`, bounded and rotated by their supervisor. */
import { closeSync, openSync, readdirSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { StringDecoder } from 'node:string_decoder'
import { nearest } from '../../api/resources/nearest.ts'
import { ServingError } from '../../kit/errors.ts'
import { type LogLine, parseLogLine } from './line.ts'

/** More of one file is not read at a time. */
const READ_BOUND_BYTES = 4 * 1024 * 1024
const SUFFIX = '.log'

/** The processes that have a log, by name. @throws ServingError NOT_FOUND when nothing ran here */
export function logNames(folder: string): readonly string[] {
  const names = filesOf(folder)
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
  if (names.length > 0) return names.toSorted()
  throw new ServingError('NOT_FOUND', `no logs in ${folder}: start Millrace with "npm start", or name its --state-dir`)
}

function filesOf(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch {
    return [] // not made yet
  }
}

/** `scheduler` itself, or all that begin with it: `agent` means every `agent-...`. @throws ServingError NOT_FOUND */
export function chooseLogs(names: readonly string[], process: string | undefined): readonly string[] {
  if (process === undefined) return names
  if (names.includes(process)) return [process]
  const family = names.filter((name) => name.startsWith(`${process}-`))
  if (family.length > 0) return family
  const suggestion = nearest(process, names)
  const hint = suggestion === undefined ? `have ${names.join(', ')}` : `did you mean ${suggestion}?`
  throw new ServingError('NOT_FOUND', `no process ${JSON.stringify(process)} has a log here; ${hint}`)
}

/** Reads one file from where it was left; a line that is still being written waits for its end. */
export class LogReader {
  readonly #path: string
  readonly #process: string
  #offset: number
  #partial = ''
  #last: LogLine | undefined
  readonly #decoder = new StringDecoder('utf8')

  constructor(folder: string, process: string) {
    this.#path = join(folder, `${process}${SUFFIX}`)
    this.#process = process
    this.#offset = Math.max(0, this.#size() - READ_BOUND_BYTES)
    if (this.#offset > 0) this.#partial = CUT // the first line is cut
  }

  /** The lines that were added since; a file that became shorter was rotated and is read from its start. */
  read(): readonly LogLine[] {
    const size = this.#size()
    if (size < this.#offset) {
      this.#offset = 0
      this.#partial = ''
    }
    const lines: LogLine[] = []
    while (this.#offset < size) {
      const bytes = this.#readBytes(Math.min(size - this.#offset, READ_BOUND_BYTES))
      if (bytes.length === 0) break // rotated this moment: read again at the next change
      this.#offset += bytes.length
      lines.push(...this.#take(this.#decoder.write(bytes)))
    }
    return lines
  }

  #readBytes(length: number): Buffer {
    const buffer = Buffer.alloc(length)
    const descriptor = openSync(this.#path, 'r')
    try {
      return buffer.subarray(0, readSync(descriptor, buffer, 0, length, this.#offset))
    } finally {
      closeSync(descriptor)
    }
  }

  #take(text: string): readonly LogLine[] {
    const parts = (this.#partial + text).split('\n')
    this.#partial = parts.pop() ?? ''
    return parts
      .filter((part) => part !== '' && !part.startsWith(CUT))
      .map((part) => (this.#last = parseLogLine(this.#process, part, this.#last)))
  }

  #size(): number {
    return statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
  }
}

/** Marks what precedes the first whole line; no log begins a line with it. */
const CUT = '\u0000'

/** All by time; what says no time stays behind the line above it. */
export const byTime = (lines: readonly LogLine[]): readonly LogLine[] =>
  lines.toSorted((a, b) => (a.atMs ?? 0) - (b.atMs ?? 0))
