/** How long Kafka takes to acknowledge one record: what bounds a pipeline with `wait: input` from below. */
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { ServingError } from '../../kit/errors.ts'
import { median } from '../support/statistics.ts'

export interface AckProbe {
  /** Milliseconds: the median of one record after the other. */
  measure(): Promise<number>
  close(): Promise<void>
}

const TOPIC = 'bench.ack'
const RECORDS = 200
const TIMEOUT_MS = 10_000

export async function startAckProbe(bootstrapServers: string, replicationFactor: number): Promise<AckProbe> {
  const connection = { bootstrapServers: bootstrapServers.split(','), tls: undefined, sasl: undefined }
  const kafka = connectKafka(connection, 'bench')
  const admin = kafka.admin()
  await admin.createTopics([TOPIC], { partitions: 1, replicationFactor, maxMessageBytes: 1_048_576 })
  await admin.close()
  const producer = kafka.producer()
  const record = { topic: TOPIC, partition: 0, key: 'k', value: Buffer.alloc(100), headers: [] }
  const one = async (): Promise<number> => {
    const sentMs = performance.now()
    const [result] = await producer.send([record], { compression: 'none', timeoutMs: TIMEOUT_MS })
    if (result?.kind !== 'acknowledged') throw new ServingError('KAFKA_UNAVAILABLE', JSON.stringify(result))
    return performance.now() - sentMs
  }
  return {
    measure: async () => {
      const took: number[] = []
      for (let sent = 0; sent < RECORDS; sent += 1) took.push(await one())
      return median(took)
    },
    close: () => producer.close(),
  }
}
