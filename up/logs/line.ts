/** One line of a process's log, whatever wrote it: JSON of our own processes, the text of Envoy and of Redis. Pure. */
import { LOG_LEVELS, type LogLevel } from '../../kit/log.ts'

export interface LogLine {
  readonly process: string
  /** Milliseconds since 1970; undefined when the line does not say. */
  readonly atMs: number | undefined
  readonly level: LogLevel
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
  /** As it stands in the file; `isJson`: a JSON line of our own processes. */
  readonly raw: string
  readonly isJson: boolean
}

const PINO_LEVELS: readonly (readonly [number, LogLevel])[] = [
  [50, 'error'],
  [40, 'warn'],
  [30, 'info'],
]
const TEXT_LEVELS: Readonly<Record<string, LogLevel>> = {
  critical: 'error',
  error: 'error',
  warning: 'warn',
  warn: 'warn',
  info: 'info',
  debug: 'debug',
  trace: 'debug',
  '#': 'warn',
  '*': 'info',
  '-': 'debug',
  '.': 'debug',
}
/** `[2026-01-02 03:04:05.678][123][warning][config] [source:1] text` */
const ENVOY =
  /^\[(?<date>[\d-]+) (?<time>[\d:.]+)\]\[\d+\]\[(?<level>\w+)\]\[(?<component>[\w-]+)\] (?:\[[^\]]*\] )?(?<message>.*)$/
/** `123:M 02 Jan 2026 03:04:05.678 # text`; its times are local. */
const REDIS = /^\d+:[A-Z] (?<time>\d{2} \w{3} \d{4} [\d:.]+) (?<level>[#*.-]) (?<message>.*)$/

/** `before`: the line above it in the same file, which one that says neither time nor level continues. */
export function parseLogLine(process: string, raw: string, before: LogLine | undefined): LogLine {
  const text = fromJson(process, raw) ?? fromText(process, raw)
  if (text !== undefined) return text
  return { process, atMs: before?.atMs, level: before?.level ?? 'info', message: raw, fields: {}, raw, isJson: false }
}

function fromJson(process: string, raw: string): LogLine | undefined {
  const record = parseRecord(raw)
  if (typeof record?.['msg'] !== 'string' || typeof record['level'] !== 'number') return undefined
  const { level, time, msg, component: _component, ...fields } = record
  const found = PINO_LEVELS.find(([number]) => Number(level) >= number)
  return { process, atMs: toMs(String(time)), level: found?.[1] ?? 'debug', message: msg, fields, raw, isJson: true }
}

function parseRecord(raw: string): (Record<string, unknown> & { readonly msg?: unknown }) | undefined {
  if (!raw.startsWith('{')) return undefined
  try {
    return JSON.parse(raw) as Record<string, unknown>
  } catch {
    return undefined // cut in the middle, or only looks like JSON
  }
}

function fromText(process: string, raw: string): LogLine | undefined {
  const envoy = ENVOY.exec(raw)?.groups
  const redis = envoy === undefined ? REDIS.exec(raw)?.groups : undefined
  const { level = '', message = '' } = envoy ?? redis ?? {}
  if (envoy === undefined && redis === undefined) return undefined
  const atMs = toMs(envoy === undefined ? (redis?.['time'] ?? '') : `${envoy['date'] ?? ''}T${envoy['time'] ?? ''}Z`)
  const fields = envoy?.['component'] === undefined ? {} : { source: envoy['component'] }
  return { process, atMs, level: TEXT_LEVELS[level] ?? 'info', message, fields, raw, isJson: false }
}

function toMs(time: string): number | undefined {
  const ms = Date.parse(time)
  return Number.isNaN(ms) ? undefined : ms
}

/** Whether a line is at least as severe as `level`. */
export const isAtLeast = (line: LogLine, level: LogLevel): boolean =>
  LOG_LEVELS.indexOf(line.level) <= LOG_LEVELS.indexOf(level)
