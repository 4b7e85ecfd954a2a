/** Reads the end of a topic, further and further back, until enough records are found that are looked for. */
import type { IncomingRecord, KafkaReader, Position } from '../../dataflow/kafka/client.ts'
import { readBetween } from '../kafka/read-on.ts'

/** Each look back is so many times longer. */
const FURTHER = 10n

/** The last `count` before `ends`, which are all partitions of one topic, that `matches`, oldest first. */
export async function findRecords(
  reader: KafkaReader,
  ends: readonly Position[],
  count: number,
  matches: (record: IncomingRecord) => boolean,
): Promise<readonly IncomingRecord[]> {
  const begins = await reader.positions([...new Set(ends.map(({ topic }) => topic))], 'earliest')
  const found = await Promise.all(
    ends.map((end) => {
      const begin = begins.find(({ partition }) => partition === end.partition)?.offset ?? 0n
      return findIn(reader, begin, end, count, matches)
    }),
  )
  return found
    .flat()
    .toSorted((a, b) => a.timestampMs - b.timestampMs)
    .slice(-count)
}

async function findIn(
  reader: KafkaReader,
  begin: bigint,
  end: Position,
  count: number,
  matches: (record: IncomingRecord) => boolean,
): Promise<readonly IncomingRecord[]> {
  let found: readonly IncomingRecord[] = []
  let to = end.offset
  for (let back = BigInt(count); to > begin && found.length < count; back *= FURTHER) {
    const from = end.offset - back > begin ? end.offset - back : begin
    const some: IncomingRecord[] = []
    for await (const records of readBetween(reader, [{ ...end, offset: from }], [{ ...end, offset: to }]))
      some.push(...records.filter(matches))
    found = [...some, ...found]
    to = from
  }
  return found
}
