/** Where an engine goes on with a pipeline's inputs, and what of those it has not committed was begun before. */
import { topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { doubtOf, placesOf, timesAt } from '../recovery/places.ts'
import { type Journaled, NOTHING_JOURNALED, readJournaled } from './journaled.ts'

export interface Unread {
  readonly journaled: Journaled
  /** About when the engine before read last: requests of gateways that are younger may be orphans. Undefined: none did. */
  readonly lastReadMs: number | undefined
  /** See `doubtOf`. */
  readonly mayHaveBegun: (record: IncomingRecord) => boolean
}

/** @throws ServingError KAFKA_UNAVAILABLE */
export async function lookAtUnread(
  reader: KafkaReader,
  space: TopicSpace,
  held: HeldPlan,
  group: string,
  /** Of a partition: how many records whoever read before may have had in flight; 0: it has released them. */
  maxInFlight: number,
): Promise<Unread> {
  const topic = topicName(space, { kind: 'pipeline', name: held.pipeline, side: 'inputs' })
  const reading = await placesOf(reader, [topic], group)
  const unread = reading.filter(({ offset, end }) => offset < end)
  const read = reading.filter(({ offset, begin }) => offset > begin).map((at) => ({ ...at, offset: at.offset - 1n }))
  const [firstMs, lastReadMs] = [timesAt(reader, unread), timesAt(reader, read)]
  const times = await firstMs
  return {
    journaled: times.length === 0 ? NOTHING_JOURNALED : await readJournaled(reader, space, held, Math.min(...times)),
    lastReadMs: (await lastReadMs).toSorted((a, b) => b - a)[0],
    mayHaveBegun: doubtOf(reading, maxInFlight),
  }
}
