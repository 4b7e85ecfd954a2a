/** Where an engine goes on with a pipeline's inputs, and what of those it has not committed was begun before. */
import { topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader, Position } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { type Journaled, NOTHING_JOURNALED, readJournaled } from './journaled.ts'

export interface Unread {
  readonly journaled: Journaled
  /** About when the engine before read last: requests of gateways that are younger may be orphans. Undefined: none did. */
  readonly lastReadMs: number | undefined
  /**
   * Whoever read before may have begun it, although no result of it is there. To be asked once of each record without a result, in
   * the order in which they are read: as many as somebody may have had in flight.
   */
  readonly mayHaveBegun: (record: IncomingRecord) => boolean
}

const FETCH = { maxWaitMs: 100, maxBytes: 1024 * 1024 }

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
  const isNew = !reading.some(({ isCommitted }) => isCommitted) // nobody has read it
  const doubtful = new Map(unread.map(({ partition, end }) => [partition, { end, left: isNew ? 0 : maxInFlight }]))
  return {
    journaled: times.length === 0 ? NOTHING_JOURNALED : await readJournaled(reader, space, held, Math.min(...times)),
    lastReadMs: (await lastReadMs).toSorted((a, b) => b - a)[0],
    mayHaveBegun: ({ partition, offset }) => {
      const doubt = doubtful.get(partition)
      if (doubt === undefined || doubt.left === 0 || offset >= doubt.end) return false
      doubt.left -= 1
      return true
    },
  }
}

export interface Place extends Position {
  /** Of the first record that is there. */
  readonly begin: bigint
  /** Where the next one will be. */
  readonly end: bigint
  readonly isCommitted: boolean
}

/** Where a group goes on in each partition; without a commit at its beginning. @throws ServingError KAFKA_UNAVAILABLE */
export async function placesOf(
  reader: KafkaReader,
  topics: readonly string[],
  group: string,
): Promise<readonly Place[]> {
  const [committed, begins, ends] = await Promise.all([
    reader.committed(group, topics),
    reader.positions(topics, 'earliest'),
    reader.positions(topics, 'latest'),
  ])
  const offsetIn = (positions: readonly Position[], { topic, partition }: Position): bigint | undefined =>
    positions.find((one) => one.topic === topic && one.partition === partition)?.offset
  return ends.map((at) => {
    const [kept, begin] = [offsetIn(committed, at), offsetIn(begins, at) ?? 0n]
    const offset = kept !== undefined && kept > begin ? kept : begin
    return { ...at, offset, begin, end: at.offset, isCommitted: kept !== undefined }
  })
}

/** When the records at these positions were written. */
export async function timesAt(reader: KafkaReader, positions: readonly Position[]): Promise<readonly number[]> {
  const times: number[] = []
  for (const position of positions) {
    const { records } = await reader.fetch([position], FETCH)
    if (records[0] !== undefined) times.push(records[0].timestampMs)
  }
  return times
}
