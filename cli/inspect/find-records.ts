/** Reads the end of a topic, further and further back, until enough records are found that are looked for. */
import type { IncomingRecord, KafkaReader, Position } from '../../dataflow/kafka/client.ts'

const FETCH = { maxWaitMs: 200, maxBytes: 64 * 1024 * 1024 }
/** Each look back is so many times longer. */
const FURTHER = 10n

/** The last `count` that `matches`, oldest first. */
export async function findRecords(
  reader: KafkaReader,
  topic: string,
  count: number,
  matches: (record: IncomingRecord) => boolean,
): Promise<readonly IncomingRecord[]> {
  const [begins, ends] = await Promise.all([reader.positions([topic], 'earliest'), reader.positions([topic], 'latest')])
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
    found = [...(await readRange(reader, { ...end, offset: from }, to, matches)), ...found]
    to = from
  }
  return found
}

async function readRange(
  reader: KafkaReader,
  from: Position,
  to: bigint,
  matches: (record: IncomingRecord) => boolean,
): Promise<readonly IncomingRecord[]> {
  const records: IncomingRecord[] = []
  for (let position = from; position.offset < to;) {
    const fetched = await reader.fetch([position], FETCH)
    records.push(...fetched.records.filter((record) => record.offset < to && matches(record)))
    position = fetched.next[0] ?? { ...position, offset: to }
  }
  return records
}
