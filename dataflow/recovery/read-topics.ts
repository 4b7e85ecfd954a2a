import type { IncomingRecord, KafkaReader, Position } from '../kafka/client.ts'

const FETCH = { maxWaitMs: 100, maxBytes: 16 * 1024 * 1024 }

/** Every record of these topics from a time on to where they end now, topic by topic in its order. @throws ServingError */
export async function readTopics(
  reader: KafkaReader,
  topics: readonly string[],
  fromMs: number,
  take: (record: IncomingRecord) => void,
): Promise<void> {
  if (topics.length === 0) return
  const ends = placesOf(await reader.positions(topics, 'latest'))
  const isOpen = (at: Position): boolean => at.offset < (ends.get(placeOf(at)) ?? 0n)
  let open = (await reader.positions(topics, fromMs)).filter(isOpen)
  while (open.length > 0) {
    const { records, next } = await reader.fetch(open, FETCH)
    for (const record of records) if (isOpen(record)) take(record)
    open = next.filter(isOpen)
  }
}

const placeOf = ({ topic, partition }: Position): string => `${topic}:${String(partition)}`
const placesOf = (positions: readonly Position[]) => new Map(positions.map((at) => [placeOf(at), at.offset]))
