/** Reads partitions from positions on: up to an end, or for as long as somebody looks. */
import type { IncomingRecord, KafkaReader, Position } from '../../dataflow/kafka/client.ts'
import { backoffMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'

const MAX_BYTES = 64 * 1024 * 1024
const BOUNDED_WAIT_MS = 200
const FOLLOW_WAIT_MS = 500
const RETRY = { minMs: 200, maxMs: 2_000 }

/** What is there from `from` up to `to`, which holds the same partitions, as the broker gives it. @throws ServingError */
export async function* readBetween(
  reader: KafkaReader,
  from: readonly Position[],
  to: readonly Position[],
): AsyncGenerator<readonly IncomingRecord[]> {
  const ends = new Map(to.map((end) => [placeOf(end), end.offset]))
  const isOpen = (at: Position): boolean => at.offset < (ends.get(placeOf(at)) ?? 0n)
  for (let positions = from.filter(isOpen); positions.length > 0;) {
    const { records, next } = await reader.fetch(positions, { maxWaitMs: BOUNDED_WAIT_MS, maxBytes: MAX_BYTES })
    yield records.filter(isOpen)
    positions = next.filter(isOpen)
  }
}

/** What comes from `from` on, until the signal. While Kafka is away it is asked again; `onAway` is told so once each time. */
export async function* readOn(
  reader: KafkaReader,
  from: readonly Position[],
  signal: AbortSignal,
  onAway: (reason: string) => void,
): AsyncGenerator<readonly IncomingRecord[]> {
  let positions = from
  for (let failures = 0; !signal.aborted;) {
    const fetched = await reader
      .fetch(positions, { maxWaitMs: FOLLOW_WAIT_MS, maxBytes: MAX_BYTES })
      .catch((error: unknown) => toRetry(error))
    if ('reason' in fetched) {
      if (failures === 0) onAway(fetched.reason)
      await pause(backoffMs(failures, RETRY), signal)
      failures += 1
    } else {
      failures = 0
      positions = fetched.next
      if (fetched.records.length > 0 && !signal.aborted) yield fetched.records
    }
  }
}

/** @throws ServingError that another try does not cure */
function toRetry(error: unknown): { readonly reason: string } {
  const { code, message } = toServingError(error)
  if (code !== 'KAFKA_UNAVAILABLE') throw error
  return { reason: message }
}

const placeOf = ({ topic, partition }: Pick<Position, 'topic' | 'partition'>): string => `${topic}/${String(partition)}`
