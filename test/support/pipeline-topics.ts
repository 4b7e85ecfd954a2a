/** The topics of pipelines in a real Kafka, for tests that feed them and read what became of it. */
import { decodeElements } from '../../api/oip/elements.ts'
import { readTopics } from '../../dataflow/recovery/read-topics.ts'
import { decodeResponse, headerOf } from '../../dataflow/journal/decode.ts'
import type { IncomingRecord, OutgoingRecord } from '../../dataflow/kafka/client.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { loadKafkaConnection } from '../../dataflow/kafka/connection.ts'
import { until } from './models.ts'
import type { Outputs } from './pipeline-cases.ts'

const RESULT_MS = 20_000

export interface FedRequest {
  readonly key: string
  readonly text: string
  readonly headers?: OutgoingRecord['headers']
}

export interface PipelineTopics {
  /** As any program does: a key of its own, JSON. */
  feed(pipeline: string, requests: readonly FedRequest[]): Promise<void>
  all(topics: readonly string[], fromMs?: number): Promise<readonly IncomingRecord[]>
  /** Of what was fed with this key. */
  resultOf(pipeline: string, key: string): Promise<IncomingRecord>
  close(): Promise<void>
}

export const topicOf = (pipeline: string, side: 'inputs' | 'outputs'): string =>
  `seldon.default.pipeline.${pipeline}.${side}`

/** The one that a program gave, where the record has another one. */
export const givenKey = ({ headers, key }: IncomingRecord): string => headerOf(headers, 'x-millrace-key') ?? key

export const outputsOf = ({ value }: IncomingRecord): Outputs =>
  decodeResponse(value).outputs.map((tensor) => [tensor.name, [...decodeElements(tensor)]])

export function openPipelineTopics(bootstrapServers: string): PipelineTopics {
  const kafka = connectKafka(loadKafkaConnection({ bootstrapServers, configFile: '' }), 'test')
  const producer = kafka.producer()
  const reader = kafka.reader()
  const topics: PipelineTopics = {
    feed: async (pipeline, requests) => {
      const records = requests.map(({ key, text, headers = [] }) => ({
        topic: topicOf(pipeline, 'inputs'),
        partition: 0,
        key,
        value: Buffer.from(text),
        headers,
      }))
      const results = await producer.send(records, { compression: 'none', timeoutMs: 10_000 })
      const refused = results.filter(({ kind }) => kind !== 'acknowledged')
      if (refused.length > 0) throw new Error(`Kafka refused ${JSON.stringify(refused)}`)
    },
    all: async (names, fromMs = 0) => {
      const records: IncomingRecord[] = []
      await readTopics(reader, names, fromMs, (record) => void records.push(record))
      return records
    },
    resultOf: async (pipeline, key) => {
      const found: IncomingRecord[] = []
      await until(
        `the result of ${key}`,
        async () => {
          const records = await topics.all([topicOf(pipeline, 'outputs')])
          found.push(...records.filter((record) => givenKey(record) === key))
          return found.length > 0
        },
        RESULT_MS,
      )
      const [first] = found
      if (first === undefined) throw new Error('unreachable')
      return first
    },
    close: async () => {
      await producer.close()
      await reader.close()
    },
  }
  return topics
}
