import type { IncomingRecord, KafkaClient } from '../../dataflow/kafka/client.ts'

/** Everything in a topic, from its begin to its present end. */
export async function readAll(kafka: KafkaClient, topic: string): Promise<readonly IncomingRecord[]> {
  const reader = kafka.reader()
  try {
    const ends = await reader.positions([topic], 'latest')
    let positions = await reader.positions([topic], 'earliest')
    const records: IncomingRecord[] = []
    while (positions.some(({ offset }, index) => offset < (ends[index]?.offset ?? 0n))) {
      const fetched = await reader.fetch(positions, { maxWaitMs: 500, maxBytes: 32 * 1024 * 1024 })
      records.push(...fetched.records)
      positions = fetched.next
    }
    return records
  } finally {
    await reader.close()
  }
}

export const keysOf = async (kafka: KafkaClient, topic: string): Promise<ReadonlySet<string>> =>
  new Set((await readAll(kafka, topic)).map(({ key }) => key))
