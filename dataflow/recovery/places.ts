/** Where a group goes on in topics, and what of the records there somebody who is gone may have begun. */
import type { IncomingRecord, KafkaReader, Position } from '../kafka/client.ts'

export interface Place extends Position {
  /** Of the first record that is there. */
  readonly begin: bigint
  /** Where the next one will be. */
  readonly end: bigint
  readonly isCommitted: boolean
}

const FETCH = { maxWaitMs: 100, maxBytes: 1024 * 1024 }

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

/**
 * Whether whoever read a topic before may have begun a record, although nothing of it is there: as many of each partition as it may
 * have had in flight, and none where nobody has read. To be asked once of each record that has no result, in their order.
 */
export function doubtOf(places: readonly Place[], maxInFlight: number): (record: IncomingRecord) => boolean {
  const isNew = !places.some(({ isCommitted }) => isCommitted)
  const doubts = new Map(places.map(({ partition, end }) => [partition, { end, left: isNew ? 0 : maxInFlight }]))
  return ({ partition, offset }) => {
    const doubt = doubts.get(partition)
    if (doubt === undefined || doubt.left === 0 || offset >= doubt.end) return false
    doubt.left -= 1
    return true
  }
}
