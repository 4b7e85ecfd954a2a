/** Our client's two ends, as the processes of Millrace have them. */
import { join } from 'node:path'
import { Registry } from 'prom-client'
import { startConsumer } from '../../dataflow/consumer/consumer.ts'
import type { Consumer, OnRecord } from '../../dataflow/consumer/types.ts'
import type { Journal } from '../../dataflow/journal/journal.ts'
import { createKafkaJournal } from '../../dataflow/journal/kafka-journal.ts'
import type { TopicSpace } from '../../dataflow/journal/topics.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { silentLogger } from '../../kit/log.ts'

export interface Ends {
  readonly journal: Journal
  /** Of what comes after a topic was assigned. */
  readonly consumer: Consumer
}

export const SPACE: TopicSpace = { prefix: 'seldon', namespace: 'default' }
const MIB = 1024 * 1024

/** The journal's files are in `folder`. */
export function openEnds(bootstrapServers: string, folder: string, onRecord: OnRecord): Ends {
  const kafka = connectKafka(parseConnection('bench', { 'bootstrap.servers': bootstrapServers }), 'bench')
  const journal = createKafkaJournal(
    {
      space: SPACE,
      partitions: 1,
      replicationFactor: 1,
      maxRecordBytes: MIB,
      maxWaitingBytes: 64 * MIB,
      lingerMs: 0,
      batchBytes: MIB,
      batchRecords: 1_000,
      deliveryTimeoutMs: 15_000,
      compression: 'lz4',
      spillFile: join(folder, 'bench-spill'),
      maxSpillBytes: 0,
    },
    { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
  )
  const consumer = startConsumer(
    {
      from: { kind: 'latest' },
      maxInFlight: 1_000,
      maxInFlightBytes: 16 * MIB,
      maxHeldBytes: 64 * MIB,
      commitEveryMs: 1_000,
    },
    {
      kafka,
      onRecord,
      registry: new Registry(),
      log: silentLogger,
      nowMs: () => performance.now(),
    },
  )
  return { journal, consumer }
}
