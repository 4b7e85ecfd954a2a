/** JSON in, without loss: integers beyond 2^53 become BigInt, everything else is what JSON.parse makes of it. */
import { parse as parseLossless } from 'lossless-json'
import { ServingError } from '../../kit/errors.ts'

/** An integer of 16 digits or more, alone: only such a number can lose digits in a double. May also match in a string. */
const LONG_INTEGER = /(?<![\d.])\d{16,}(?![\d.eE])/
const INTEGER = /^-?\d+$/
/** What Python's json writes for values that JSON does not have; strings are matched first, so they stay as they are. */
const NOT_FINITE = /"(?:[^"\\]|\\.)*"|-?\b(?:NaN|Infinity)\b/g

/**
 * NaN and Infinity, which some clients write, are read as null, so that whoever checks the value can say where it was.
 * @throws ServingError REQUEST_INVALID
 */
export function parseJson(text: string): unknown {
  try {
    return parseExact(text)
  } catch (error) {
    const withNulls = text.replace(NOT_FINITE, (token) => (token.startsWith('"') ? token : 'null'))
    if (withNulls !== text) return parseJson(withNulls)
    const reason = error instanceof Error ? error.message : String(error)
    throw new ServingError('REQUEST_INVALID', `the body is not JSON: ${reason}`, { cause: error })
  }
}

/** JSON.parse where it is exact, which is nearly always and many times faster. */
function parseExact(text: string): unknown {
  return LONG_INTEGER.test(text) ? parseLossless(text, undefined, toNumber) : JSON.parse(text)
}

function toNumber(digits: string): number | bigint {
  const value = Number(digits)
  return INTEGER.test(digits) && !Number.isSafeInteger(value) ? BigInt(digits) : value
}

/** An object, or an error that says what should have been one. @throws ServingError REQUEST_INVALID */
export function asObject(raw: unknown, subject: string): Readonly<Record<string, unknown>> {
  if (typeof raw === 'object' && raw !== null && !Array.isArray(raw)) return raw as Record<string, unknown>
  throw new ServingError('REQUEST_INVALID', `${subject} must be a JSON object`)
}

/** A list, or an empty one when absent. @throws ServingError REQUEST_INVALID */
export function asList(raw: unknown, subject: string): readonly unknown[] {
  if (raw === undefined || raw === null) return []
  if (Array.isArray(raw)) return raw
  throw new ServingError('REQUEST_INVALID', `${subject} must be a list`)
}

/** A string, or empty when absent; a number is taken as its digits. @throws ServingError REQUEST_INVALID */
export function asText(raw: unknown, subject: string): string {
  if (raw === undefined || raw === null) return ''
  if (typeof raw === 'string') return raw
  if (typeof raw === 'number' || typeof raw === 'bigint') return String(raw)
  throw new ServingError('REQUEST_INVALID', `${subject} must be a string`)
}
