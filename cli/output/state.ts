import type { Colour } from '../terminal.ts'

/** Green serves, red needs a person, yellow is on its way. */
export function stateColour(state: string | undefined): Colour {
  if (state === undefined) return 'dim'
  if (/Failed|Unavailable/.test(state)) return 'red'
  return /Available|Ready/.test(state) ? 'green' : 'yellow'
}
