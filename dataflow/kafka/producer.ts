/**
 * The idempotent producer. Records are numbered in each partition; what was sent and not acknowledged is sent once more just as it
 * was, to the leaders of that moment: whoever has it already says so and keeps it once. After any other failure its numbers may
 * no longer be the broker's, which would take new records for known ones and drop them: identity, numbers and connections
 * are thrown away, and the next records get an identity, and numbers, of their own.
 */
import { Brokers } from './brokers.ts'
import type { KafkaProducer, OutgoingRecord, SendResult } from './client.ts'
import type { KafkaConnection } from './connection.ts'
import { Deadline } from './deadline.ts'
import { byTopic } from './reader.ts'
import { Part, sendAll, type Session, type Topic } from './sending.ts'

const LATE: SendResult = { kind: 'unavailable', reason: 'no acknowledgement in time' }

export function createProducer(connection: KafkaConnection, clientId: string): KafkaProducer {
  let current: Session | undefined
  const deadline = new Deadline()
  const open = (): Session => {
    const brokers = new Brokers(connection, clientId)
    return { brokers, pool: brokers.pool(), topics: new Map(), connections: new Map(), identity: undefined }
  }
  const discard = async (): Promise<void> => {
    const failed = current
    current = undefined
    await failed?.brokers.close()
  }
  return {
    send: (records, options) =>
      new Promise((resolve) => {
        const session = (current ??= open())
        const { parts, partOf } = toParts(session, records)
        let isEnded = false
        const end = (): void => {
          if (isEnded) return // what comes after the deadline counts no more
          isEnded = true
          deadline.stop()
          for (const { of, partition } of parts) of.parts[partition] = undefined
          if (!parts.every(isSure)) void discard()
          resolve(partOf.map(({ result }) => result ?? LATE))
        }
        deadline.start(options.timeoutMs, end)
        sendAll(session, parts, options, end)
      }),
    close: () => {
      deadline.close()
      return discard()
    },
  }
}

const isSure = ({ result }: Part): boolean => result?.kind === 'acknowledged' || result?.kind === 'unknownTopic'

/** One part for each partition, those of a topic together; and the part of each record. */
function toParts({ topics }: Session, records: readonly OutgoingRecord[]) {
  const parts: Part[] = []
  const partOf: Part[] = []
  const touched = new Set<Topic>()
  for (const record of records) {
    let topic = topics.get(record.topic)
    if (topic === undefined) {
      topic = { name: record.topic, leaders: undefined, sequences: [], parts: [] }
      topics.set(record.topic, topic)
    }
    let part = topic.parts[record.partition]
    if (part === undefined) {
      part = new Part(topic, record.partition)
      topic.parts[record.partition] = part
      touched.add(topic)
      parts.push(part)
    }
    part.records.push(record)
    partOf.push(part)
  }
  return { parts: touched.size === parts.length ? parts : byTopic(parts).flatMap(([, some]) => some), partOf }
}
