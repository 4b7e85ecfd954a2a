/**
 * The idempotent producer. The library counts a partition's sequence on when a send was answered well, so after any
 * failure its numbers may no longer be the broker's, which would take new records for known ones and drop them: a producer
 * that failed is therefore thrown away, and the next one has an identity, and numbers, of its own.
 */
import { Producer } from '@platformatic/kafka'
import type { KafkaProducer, OutgoingRecord, SendOptions, SendResult } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, eachError, reasonOf } from './failures.ts'
import { closeNow, libraryOptions } from './library-options.ts'

const ALL_REPLICAS = -1
const ACKNOWLEDGED: SendResult = { kind: 'acknowledged' }

export function createProducer(connection: KafkaConnection, clientId: string): KafkaProducer {
  let current: Producer | undefined
  const discard = async (): Promise<void> => {
    const failed = current
    current = undefined
    if (failed !== undefined) await closeNow(failed)
  }
  return {
    async send(records, options) {
      current ??= new Producer({ ...libraryOptions(connection, clientId), idempotent: true, acks: ALL_REPLICAS })
      try {
        await within(options.timeoutMs, current.send(toLibrary(records, options)))
        return records.map(() => ACKNOWLEDGED)
      } catch (error) {
        void discard()
        return toResults(records, error)
      }
    },
    close: discard,
  }
}

function toLibrary(records: readonly OutgoingRecord[], { compression }: SendOptions) {
  return {
    compression,
    messages: records.map(({ topic, partition, key, value, headers, timestampMs }) => ({
      topic,
      partition,
      ...(key === null ? {} : { key: Buffer.from(key) }),
      value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
      // By identity of the names, so that a name may come twice.
      headers: new Map(headers.map(([name, text]) => [Buffer.from(name), Buffer.from(text)])),
      ...(timestampMs === undefined ? {} : { timestamp: BigInt(timestampMs) }),
    })),
  }
}

async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`no acknowledgement within ${String(timeoutMs)} ms`))
    }, timeoutMs)
  })
  work.catch(() => undefined) // when it fails after the deadline
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

interface PartitionResponse {
  readonly index: number
  readonly errorCode: number
  readonly errorMessage?: string | null
}

/** What is known of each partition; of the others nothing is. */
function toResults(records: readonly OutgoingRecord[], error: unknown): readonly SendResult[] {
  const known = new Map<string, SendResult>()
  const unknownTopics = new Set<string>()
  for (const part of eachError(error)) {
    const topic = /^Unknown topic (?<topic>\S+)\.$/.exec(part.message)?.groups?.['topic']
    if (topic !== undefined) unknownTopics.add(topic)
    for (const { topic, partition } of producedOf(part.produced)) known.set(`${topic}:${partition}`, ACKNOWLEDGED)
    for (const { name, partitions } of responsesOf(part.response))
      for (const partition of partitions) known.set(`${name}:${String(partition.index)}`, toResult(partition))
  }
  const unavailable: SendResult = { kind: 'unavailable', reason: reasonOf(error) }
  return records.map(({ topic, partition }) =>
    unknownTopics.has(topic) ? { kind: 'unknownTopic' } : (known.get(`${topic}:${String(partition)}`) ?? unavailable),
  )
}

function toResult({ errorCode, errorMessage }: PartitionResponse): SendResult {
  switch (errorCode) {
    case CODE.none:
    case CODE.duplicateSequence:
      return ACKNOWLEDGED
    case CODE.messageTooLarge:
    case CODE.batchTooLarge:
      return { kind: 'tooLarge' }
    case CODE.unknownTopic:
      return { kind: 'unknownTopic' }
    case CODE.invalidRecord:
      return { kind: 'refused', reason: errorMessage ?? 'the broker takes it for invalid' }
    default:
      return { kind: 'unavailable', reason: errorMessage ?? `Kafka's error ${String(errorCode)}` }
  }
}

const producedOf = (produced: unknown): readonly { readonly topic: string; readonly partition: string }[] =>
  (produced as { offsets?: readonly { topic: string; partition: string }[] } | undefined)?.offsets ?? []

function responsesOf(response: unknown) {
  const responses = (response as { responses?: unknown } | undefined)?.responses
  if (!Array.isArray(responses)) return []
  return (responses as { name: string; partitionResponses?: readonly PartitionResponse[] }[]).map((topic) => ({
    name: topic.name,
    partitions: topic.partitionResponses ?? [],
  }))
}
