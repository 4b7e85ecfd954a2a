import { ServingError } from '../kit/errors.ts'

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }
const FORM = /^(?<amount>\d+(?:\.\d+)?)(?<unit>ms|s|m|h)?$/
/** The longest that a timer of Node can wait. */
const MAX_MS = 2_147_483_647

/** `500ms`, `60s`, `2m`, `1h`; a bare number is seconds. @throws ServingError CONFIG_INVALID */
export function parseDurationMs(text: string, option: string): number {
  const { amount, unit = 's' } = FORM.exec(text)?.groups ?? {}
  const ms = Math.round(Number(amount) * (UNIT_MS[unit] ?? 0))
  if (amount !== undefined && ms >= 1 && ms <= MAX_MS) return ms
  throw new ServingError('CONFIG_INVALID', `${option} ${text}: write a time as 500ms, 60s, 2m or 1h, at most 24 days`)
}

/** `5s`, `12m`, `3h`, `2d`: the largest unit that gives a whole number of at least one. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 120) return `${String(seconds)}s`
  if (seconds < 7_200) return `${String(Math.floor(seconds / 60))}m`
  if (seconds < 172_800) return `${String(Math.floor(seconds / 3_600))}h`
  return `${String(Math.floor(seconds / 86_400))}d`
}
