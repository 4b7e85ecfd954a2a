/**
 * What the topics say of a pipeline's requests over topics when an engine begins with it: which have ended lately, and of those
 * that were begun what their steps were asked and what they answered.
 */
import { headerOf } from '../journal/decode.ts'
import {
  ERRORS,
  PIPELINE_HEADER,
  parseTopicName,
  type TopicEnd,
  topicName,
  type TopicSpace,
} from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { Plan } from '../plan/plan.ts'
import { type Place, placesOf, timesAt } from '../recovery/places.ts'
import { readTopics } from '../recovery/read-topics.ts'

export interface StepRecord {
  readonly end: TopicEnd
  readonly record: IncomingRecord
}

export interface BegunOverTopics {
  readonly ended: ReadonlySet<string>
  /** By key, in the order in which a run takes them: what was asked first. */
  readonly begun: Map<string, StepRecord[]>
}

export interface Groups {
  readonly inputs: string
  readonly steps: string
}

/** Of clocks, and of what is late. */
const MARGIN_MS = 30_000
/** Of records that are kept; beyond it, steps are asked again. */
const MAX_BYTES = 64 * 1024 * 1024

/** @throws ServingError KAFKA_UNAVAILABLE, NOT_FOUND */
export async function lookAtBegun(
  reader: KafkaReader,
  space: TopicSpace,
  plan: Plan,
  groups: Groups,
  nowMs: number,
): Promise<BegunOverTopics> {
  const ofPipeline = (side: 'inputs' | 'outputs'): string =>
    topicName(space, { kind: 'pipeline', name: plan.pipeline, side })
  const inputs = await placesOf(reader, [ofPipeline('inputs')], groups.inputs)
  const inputsMs = await firstUnreadMs(reader, inputs)
  // Without a commit reading begins at the present end.
  const steps = await placesOf(reader, answerTopics(space, plan), groups.steps)
  const stepsMs = await firstUnreadMs(
    reader,
    steps.filter(({ isCommitted }) => isCommitted),
  )
  const ended = new Set<string>()
  const begun = new Map<string, StepRecord[]>()
  let bytes = 0
  const take = (record: IncomingRecord): void => {
    const { topic, key, headers, value } = record
    const end = parseTopicName(space, topic)
    if (end === undefined || ended.has(key) || headerOf(headers, PIPELINE_HEADER) !== plan.pipeline) return
    if (bytes + value.length > MAX_BYTES) return
    bytes += value.length
    const known = begun.get(key) ?? []
    begun.set(key, known)
    known.push({ end, record })
  }
  const sinceMs = Math.min(nowMs, inputsMs, stepsMs) - plan.timeoutMs - MARGIN_MS
  await readTopics(reader, [ofPipeline('outputs')], Math.max(sinceMs, 0), ({ key }) => ended.add(key))
  if (inputsMs !== Infinity)
    for (const topics of [askedTopics(space, plan), answerTopics(space, plan)])
      await readTopics(reader, topics, inputsMs, take)
  return { ended, begun }
}

/** Where the steps of a plan are asked. */
const askedTopics = (space: TopicSpace, { steps }: Plan): readonly string[] =>
  steps.map((name) => topicName(space, { kind: 'model', name, side: 'inputs' }))

/** Where the steps of a plan answer, or fail. */
export const answerTopics = (space: TopicSpace, { steps }: Plan): readonly string[] => [
  ...steps.map((name) => topicName(space, { kind: 'model', name, side: 'outputs' })),
  topicName(space, ERRORS),
]

/** Infinity: everything is read. */
async function firstUnreadMs(reader: KafkaReader, places: readonly Place[]): Promise<number> {
  const unread = places.filter(({ offset, end }) => offset < end)
  return Math.min(...(await timesAt(reader, unread)))
}
