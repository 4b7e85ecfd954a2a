/** Records that have to be in Kafka. */
import { type Backoff, backoffMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import { LateSignal } from '../../kit/late-signal.ts'
import { markedAsReplayed } from './journal-headers.ts'
import type { Journal, JournalRecord } from './journal.ts'

const BACKOFF: Backoff = { minMs: 100, maxMs: 5_000 }

/**
 * Until Kafka has the record; false: the signal came before. What Kafka may have already is marked. @throws ServingError: it will
 * never take it
 */
export async function recordAtLast(
  journal: Journal,
  record: JournalRecord,
  signal: AbortSignal | LateSignal,
): Promise<boolean> {
  let sent = record
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await journal.record(sent)
      return true
    } catch (error) {
      const failure = toServingError(error)
      if (failure.code !== 'KAFKA_UNAVAILABLE' && failure.code !== 'JOURNAL_OVERLOADED') throw failure
      if (failure.code === 'KAFKA_UNAVAILABLE') sent = { ...record, headers: markedAsReplayed(record.headers) }
      await pause(backoffMs(attempt, BACKOFF), signal instanceof LateSignal ? signal.signal : signal)
    }
  }
  return false
}
