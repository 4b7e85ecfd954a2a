/** Which turn of each loop a step's record belongs to, as a header says it. Pure. */
import type { Visit } from '../executor/types.ts'
import { headerOf } from '../journal/decode.ts'
import type { JournalHeaders } from '../journal/journal.ts'
import { VISIT_HEADER } from '../journal/topics.ts'
import type { RecordHeaders } from '../kafka/client.ts'

/** `0,-1`: the first turn of the first loop, outside of the second. Nothing without loops. */
export const visitHeaders = (visit: Visit): JournalHeaders =>
  visit.length === 0 ? [] : [[VISIT_HEADER, visit.join(',')]]

/** Undefined: the plan has loops, and the record does not say where in them it belongs. */
export function readVisit(headers: RecordHeaders, loops: number): Visit | undefined {
  if (loops === 0) return []
  const turns = headerOf(headers, VISIT_HEADER)?.split(',') ?? []
  if (turns.length !== loops || turns.some((turn) => !/^(?:-1|\d{1,9})$/.test(turn))) return undefined
  return turns.map(Number)
}
