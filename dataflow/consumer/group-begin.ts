/** Where a group begins in topics that it subscribes to. */
import type { KafkaReader, Position } from '../kafka/client.ts'

/**
 * Where its commits ended; for partitions without one the present end, which is committed at once: what comes from now on is
 * not missed, whenever the group begins to read. A commit beyond the end is of a topic that was deleted and made anew, which is
 * read from its beginning. @throws ServingError NOT_FOUND for a topic that is not there, KAFKA_UNAVAILABLE
 */
export async function beginGroup(
  reader: KafkaReader,
  group: string,
  topics: readonly string[],
): Promise<readonly Position[]> {
  const [committed, ends] = await Promise.all([reader.committed(group, topics), reader.positions(topics, 'latest')])
  const known = new Map(committed.map((at) => [placeOf(at), at.offset]))
  const fresh = ends.filter((end) => !known.has(placeOf(end)))
  if (fresh.length > 0) await reader.commit(group, fresh)
  const isRemade = (end: Position): boolean => (known.get(placeOf(end)) ?? 0n) > end.offset
  const remade = ends.filter(isRemade)
  const begins =
    remade.length === 0 ? [] : await reader.positions([...new Set(remade.map(({ topic }) => topic))], 'earliest')
  const earliest = new Map(begins.map((at) => [placeOf(at), at.offset]))
  return ends.map((end) => {
    const place = placeOf(end)
    return { ...end, offset: (isRemade(end) ? earliest.get(place) : known.get(place)) ?? end.offset }
  })
}

const placeOf = ({ topic, partition }: Position): string => `${topic}:${String(partition)}`
