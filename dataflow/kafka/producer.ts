/**
 * The idempotent producer. The library counts a partition's sequence on when a send was answered well, so after any
 * failure its numbers may no longer be the broker's, which would take new records for known ones and drop them. What was not
 * counted is sent once more just as it was, to the leaders of that moment: whoever has it already says so and keeps it once. A
 * producer that gave up is thrown away, and the next one has an identity, and numbers, of its own.
 */
import { Producer } from '@platformatic/kafka'
import type { KafkaProducer, OutgoingRecord, SendOptions, SendResult } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { CODE, eachError, reasonOf } from './failures.ts'
import { closeNow, libraryOptions } from './library-options.ts'

const ALL_REPLICAS = -1
const ACKNOWLEDGED: SendResult = { kind: 'acknowledged' }
const NO_RESULT: SendResult = { kind: 'unavailable', reason: 'the client gave no result' }
/** While partitions have no leader: what is sent again, and how soon. */
const LEADER_PAUSE_MS = 100

export function createProducer(connection: KafkaConnection, clientId: string): KafkaProducer {
  let current: Producer | undefined
  const discard = async (): Promise<void> => {
    const failed = current
    current = undefined
    if (failed !== undefined) await closeNow(failed)
  }
  return {
    async send(records, options) {
      const giveUpAtMs = performance.now() + options.timeoutMs
      const results = new Map<OutgoingRecord, SendResult>()
      for (let left = records; ; left = left.filter((record) => !results.has(record))) {
        current ??= new Producer({ ...libraryOptions(connection, clientId), idempotent: true, acks: ALL_REPLICAS })
        try {
          await within(giveUpAtMs - performance.now(), current.send(toLibrary(left, options)))
          for (const record of left) results.set(record, ACKNOWLEDGED)
          break
        } catch (error) {
          const counted = countedIn(error)
          for (const record of left) if (counted.has(partitionOf(record))) results.set(record, ACKNOWLEDGED)
          if (mayPass(error) && (await hasNewLeaders(current, giveUpAtMs))) continue
          void discard()
          const rest = left.filter((record) => !results.has(record))
          const ends = toResults(rest, error)
          for (const [index, record] of rest.entries()) results.set(record, ends[index] ?? toUnavailable(error))
          break
        }
      }
      return records.map((record) => results.get(record) ?? NO_RESULT)
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

/** Of the same batch to another leader, or to the same one a moment later. */
const mayPass = (error: unknown): boolean => {
  const all = [...eachError(error)]
  return all.some(({ canRetry }) => canRetry === true) && !all.some(({ canRetry }) => canRetry === false)
}

/** Whether there is time, and a broker that answers: after a pause the next send asks it who leads. */
async function hasNewLeaders(producer: Producer, giveUpAtMs: number): Promise<boolean> {
  const leftMs = (): number => giveUpAtMs - performance.now()
  if (leftMs() <= LEADER_PAUSE_MS) return false
  try {
    await new Promise((done) => setTimeout(done, LEADER_PAUSE_MS))
    producer.clearMetadata()
    await within(leftMs(), producer.metadata({ topics: [], forceUpdate: true }))
    return leftMs() > 0
  } catch {
    return false // nobody is there: the reason of the send is told
  }
}

const partitionOf = ({ topic, partition }: { topic: string; partition: number | string }): string =>
  `${topic}:${String(partition)}`

/** Partitions whose records were acknowledged although others failed, and whose sequence was counted on. */
const countedIn = (error: unknown): ReadonlySet<string> =>
  new Set([...eachError(error)].flatMap(({ produced }) => producedOf(produced).map(partitionOf)))

const toUnavailable = (error: unknown): SendResult => ({ kind: 'unavailable', reason: reasonOf(error) })

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
    for (const { name, partitions } of responsesOf(part.response))
      for (const partition of partitions)
        known.set(partitionOf({ topic: name, partition: partition.index }), toResult(partition))
  }
  return records.map((record) =>
    unknownTopics.has(record.topic)
      ? { kind: 'unknownTopic' }
      : (known.get(partitionOf(record)) ?? toUnavailable(error)),
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
