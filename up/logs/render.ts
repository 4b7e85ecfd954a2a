/** Log lines for people, and for machines. Pure. */
import type { Terminal } from '../../cli/terminal.ts'
import type { LogLevel } from '../../kit/log.ts'
import type { LogLine } from './line.ts'

const COLOURS: Readonly<Record<LogLevel, Parameters<Terminal['paint']>[0]>> = {
  error: 'red',
  warn: 'yellow',
  info: 'green',
  debug: 'dim',
}
const LEVEL_WIDTH = 5
const NO_TIME = '--:--:--.---'

/** `12:03:04.567 INFO  scheduler  leading since=4 node=envoy-0`; the time is UTC. */
export function renderLine(line: LogLine, processWidth: number, terminal: Pick<Terminal, 'paint'>): string {
  const time = line.atMs === undefined ? NO_TIME : new Date(line.atMs).toISOString().slice(11, 23)
  const level = terminal.paint(COLOURS[line.level], line.level.toUpperCase().padEnd(LEVEL_WIDTH))
  const fields = Object.entries(line.fields).map(([name, value]) =>
    terminal.paint('dim', `${name}=${fieldText(value)}`),
  )
  return [time, level, line.process.padEnd(processWidth), [line.message, ...fields].join(' ')].join(' ')
}

const fieldText = (value: unknown): string => {
  if (typeof value === 'string') return /[\s"=]/.test(value) || value === '' ? JSON.stringify(value) : value
  return JSON.stringify(value) ?? ''
}

/** JSON lines as they are; a line of text becomes one, so that every line can be parsed. */
export const toJsonLine = ({ raw, isJson, process, level, message, fields }: LogLine): string =>
  isJson ? raw : JSON.stringify({ component: process, level, ...fields, msg: message })
