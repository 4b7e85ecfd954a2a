import type { Colour } from '../terminal.ts'

/** Green serves, red needs a person, yellow is on its way. */
export function stateColour(state: string | undefined): Colour {
  if (state === undefined) return 'dim'
  if (/Failed|Unavailable/.test(state)) return 'red'
  return /Available|Ready|Active/.test(state) ? 'green' : 'yellow'
}

const MAX_REASON_LENGTH = 80

/** For a list, where a line should not wrap; `describe` and the formats for machines have it whole. */
export const briefReason = (reason = ''): string =>
  reason.length > MAX_REASON_LENGTH ? `${reason.slice(0, MAX_REASON_LENGTH - 3)}...` : reason
