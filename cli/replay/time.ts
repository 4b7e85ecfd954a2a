import { ServingError } from '../../kit/errors.ts'
import { parseDurationMs } from '../duration.ts'

const INSTANT = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:\d{2}))?$/

/** `2026-11-22T20:00:00Z`, a day (its beginning in UTC), or how long ago: `10m`. @throws ServingError CONFIG_INVALID */
export function parseTimeMs(text: string, option: string, nowMs: number): number {
  if (INSTANT.test(text) && !Number.isNaN(Date.parse(text))) return Date.parse(text)
  try {
    return nowMs - parseDurationMs(text, option)
  } catch {
    throw new ServingError(
      'CONFIG_INVALID',
      `${option} ${text}: write a time as 2026-11-22T20:00:00Z, or how long ago it was as 10m or 2h`,
    )
  }
}
