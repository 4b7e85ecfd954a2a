/**
 * What the topics say of a model's records that nobody has committed: which have their answer or their error, each told by the place
 * of its record, and which somebody who is gone may have asked the model for.
 */
import { headerOf } from '../journal/decode.ts'
import { ERRORS, ERRORS_HEADER, INPUT_HEADER, topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import { doubtOf, placesOf, timesAt } from '../recovery/places.ts'
import { readTopics } from '../recovery/read-topics.ts'
import { placeOf } from './records.ts'

export interface Answered {
  readonly hasAnswer: (record: IncomingRecord) => boolean
  /** To be asked once of each record without an answer, in the order in which they are read. */
  readonly mayBeAsked: (record: IncomingRecord) => boolean
}

/** Of clocks that differ. */
const MARGIN_MS = 5_000
/** Beyond it records are asked again, marked. */
const MAX_ANSWERED = 1_000_000

/**
 * @param maxInFlight of a partition, of whoever read before; 0: it has released the model
 * @throws ServingError KAFKA_UNAVAILABLE
 */
export async function lookAtAnswered(
  reader: KafkaReader,
  space: TopicSpace,
  model: string,
  group: string,
  maxInFlight: number,
): Promise<Answered> {
  const inputs = topicName(space, { kind: 'model', name: model, side: 'inputs' })
  const outputs = topicName(space, { kind: 'model', name: model, side: 'outputs' })
  const places = await placesOf(reader, [inputs], group)
  const unread = places.filter(({ offset, end }) => offset < end)
  const times = await timesAt(reader, unread)
  const answered = new Set<string>()
  const take = ({ topic, headers }: IncomingRecord): void => {
    const place = headerOf(headers, INPUT_HEADER)
    if (place === undefined || answered.size >= MAX_ANSWERED) return
    if (topic === outputs || headerOf(headers, ERRORS_HEADER) === model) answered.add(place)
  }
  if (times.length > 0) {
    const fromMs = Math.max(0, Math.min(...times) - MARGIN_MS)
    await readTopics(reader, [outputs, topicName(space, ERRORS)], fromMs, take)
  }
  const ends = new Map(unread.map(({ partition, end }) => [partition, end]))
  return {
    hasAnswer: (record) => record.offset < (ends.get(record.partition) ?? 0n) && answered.has(placeOf(record)),
    mayBeAsked: doubtOf(places, maxInFlight),
  }
}
