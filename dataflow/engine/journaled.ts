/**
 * What the topics say of requests that were begun before: which have their result, and what their steps answered. Read once,
 * from a time to the present end, when a pipeline's inputs may have been begun by somebody who is gone.
 */
import type { InferenceResponse } from '../../api/oip/inference.ts'
import { decodeResponse, headerOf } from '../journal/decode.ts'
import { ERRORS_HEADER, PIPELINE_HEADER, topicName, type TopicSpace, VERSION_HEADER } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { readTopics } from '../recovery/read-topics.ts'
import type { Begun } from './asynchronous.ts'

export interface Journaled {
  /** Has a result or an error. Each is told once: a key that comes twice is two requests. */
  readonly takeTerminal: (key: string) => boolean
  /** Undefined: nothing of it is there. */
  readonly begun: (key: string) => Begun | undefined
}

export const NOTHING_JOURNALED: Journaled = { takeTerminal: () => false, begun: () => undefined }

/** Of answers that are kept; of those beyond, the steps are asked again. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024

/** @throws ServingError KAFKA_UNAVAILABLE */
export async function readJournaled(
  reader: KafkaReader,
  space: TopicSpace,
  held: HeldPlan,
  fromMs: number,
): Promise<Journaled> {
  const { pipeline, plan } = held
  const version = String(plan.version)
  const outputs = topicName(space, { kind: 'pipeline', name: pipeline, side: 'outputs' })
  // In loops a step answers several times under one key; over topics somebody else looks at the steps.
  const stepNames =
    held.journal.record === 'all' && plan.loops === 0 && held.plan.execution !== 'topics' ? plan.steps : []
  const steps = new Map(stepNames.map((name) => [topicName(space, { kind: 'model', name, side: 'outputs' }), name]))
  const terminals = new Map<string, number>()
  const answers = new Map<string, Map<string, InferenceResponse>>()
  let bytes = 0

  const take = (record: IncomingRecord): void => {
    const { topic, key, headers, value } = record
    if (topic === outputs) {
      terminals.set(key, (terminals.get(key) ?? 0) + 1)
      answers.delete(key)
      return
    }
    const step = steps.get(topic)
    if (step === undefined || headerOf(headers, PIPELINE_HEADER) !== pipeline) return
    const isOther = headerOf(headers, VERSION_HEADER) !== version || headerOf(headers, ERRORS_HEADER) !== undefined
    if (isOther || terminals.has(key) || bytes + value.length > MAX_ANSWER_BYTES) return
    bytes += value.length
    const known = answers.get(key) ?? new Map<string, InferenceResponse>()
    answers.set(key, known)
    try {
      known.set(step, decodeResponse(value))
    } catch {
      // Somebody else put it there: the step is asked.
    }
  }
  await readTopics(reader, [outputs], fromMs, take)
  await readTopics(reader, [...steps.keys()], fromMs, take)

  return {
    takeTerminal: (key) => {
      const count = terminals.get(key)
      if (count === undefined) return false
      if (count > 1) terminals.set(key, count - 1)
      else terminals.delete(key)
      return true
    },
    begun: (key) => {
      const found = answers.get(key)
      return found === undefined ? undefined : { version: plan.version, answers: found }
    },
  }
}
