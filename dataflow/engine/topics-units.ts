/**
 * The pipelines of this engine that run over topics: their steps' topics are read, each once in this process, and every record
 * goes to the requests of its pipeline. What a new version of a pipeline reads is read before its first request begins.
 */
import { atMost } from '../../kit/deadline.ts'
import type { SharedReading } from '../consumer/types.ts'
import type { HeldPlan } from '../control/held-plans.ts'
import { parseTopicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord, KafkaReader } from '../kafka/client.ts'
import type { Plan } from '../plan/plan.ts'
import { answerTopics, lookAtBegun } from './begun-topics.ts'
import { TopicsRequests, type TopicsRequestsDeps } from './topics-requests.ts'

export interface TopicsUnitsDeps extends TopicsRequestsDeps {
  readonly space: TopicSpace
  readonly reader: KafkaReader
  readonly shared: Pick<SharedReading, 'subscribe' | 'unsubscribe'>
  /** Of the inputs of all pipelines. */
  readonly group: string
}

export interface TopicsUnits {
  /** Resolves when its steps' topics are read. @throws ServingError KAFKA_UNAVAILABLE, NOT_FOUND */
  readonly begin: (held: HeldPlan) => Promise<void>
  /** Another version of a pipeline that is read here may serve. */
  readonly refresh: (pipeline: string) => void
  /** `mayBeBegun` by somebody of whom nothing is there. */
  readonly onInput: (held: HeldPlan, record: IncomingRecord, done: () => void, mayBeBegun: boolean) => void
  /** Gives up what runs of it: who goes on finds it on the topics. */
  readonly end: (pipeline: string, waitMs: number) => Promise<void>
}

interface Unit {
  readonly pipeline: string
  readonly requests: TopicsRequests
  /** Topic to when its reading began. */
  readonly reads: Map<string, Promise<void>>
  /** All topics of it are read. */
  follows: Plan | undefined
  /** Topics are read that only requests of an older version need. */
  isStale: boolean
}

export function createTopicsUnits(deps: TopicsUnitsDeps): TopicsUnits {
  const { space, reader, shared, group, ended } = deps
  const units = new Map<string, Unit>()
  const stepsGroup = (pipeline: string): string => `${group}.${pipeline}.steps`

  const unitOf = (pipeline: string): Unit => {
    const known = units.get(pipeline)
    if (known !== undefined) return known
    const requests = new TopicsRequests(pipeline, deps, () => {
      if (unit.isStale) tidy(unit)
    })
    const unit: Unit = { pipeline, requests, reads: new Map(), follows: undefined, isStale: false }
    units.set(pipeline, unit)
    return unit
  }

  const read = ({ pipeline, requests, reads }: Unit, topic: string): Promise<void> => {
    const end = parseTopicName(space, topic)
    const known = reads.get(topic)
    if (known !== undefined || end === undefined) return known ?? Promise.resolve()
    const begun = shared.subscribe({
      topic,
      group: stepsGroup(pipeline),
      takes: new Set([pipeline]),
      onRecord: (record, done) => {
        requests.onStepRecord(end, record, done)
      },
    })
    reads.set(topic, begun)
    return begun
  }

  const follow = async (unit: Unit, { plan }: HeldPlan): Promise<void> => {
    if (unit.follows === plan) return
    await Promise.all(answerTopics(space, plan).map((topic) => read(unit, topic)))
    unit.isStale ||= unit.follows !== undefined
    unit.follows = plan
    tidy(unit)
  }

  /** Leaves topics that no request of it needs any more. */
  const tidy = (unit: Unit): void => {
    const { pipeline, requests, reads } = unit
    const plans = requests.plans()
    const held = deps.plan(pipeline)
    if (held !== undefined && held.plan.execution === 'topics') plans.add(held.plan)
    const needed = new Set([...plans].flatMap((plan) => answerTopics(space, plan)))
    unit.isStale = [...plans].some((plan) => plan !== held?.plan)
    for (const topic of reads.keys()) {
      if (needed.has(topic)) continue
      reads.delete(topic)
      if (unit.follows !== held?.plan) unit.follows = undefined
      void shared.unsubscribe(topic, stepsGroup(pipeline), 0)
    }
  }

  return {
    begin: async (held) => {
      const { pipeline, plan } = held
      const unit = unitOf(pipeline)
      const groups = { inputs: group, steps: stepsGroup(pipeline) }
      const found = await lookAtBegun(reader, space, plan, groups, deps.wallMs())
      for (const key of found.ended) ended.add(pipeline, key, true)
      unit.requests.knows(found.begun)
      await follow(unit, held)
    },
    refresh: (pipeline) => {
      const held = deps.plan(pipeline)
      const unit = units.get(pipeline)
      if (held !== undefined && held.plan.execution === 'topics') void follow(unitOf(pipeline), held)
      else if (unit !== undefined) {
        unit.isStale = true
        tidy(unit)
      }
    },
    onInput: (held, record, done, mayBeBegun) => {
      const unit = unitOf(held.pipeline)
      if (unit.follows === held.plan) unit.requests.onInput(held, record, done, mayBeBegun)
      else
        void follow(unit, held).then(() => {
          unit.requests.onInput(held, record, done, mayBeBegun)
        })
    },
    end: async (pipeline, waitMs) => {
      const unit = units.get(pipeline)
      if (unit === undefined) return
      await atMost(waitMs, unit.requests.giveUp())
      units.delete(pipeline)
      await Promise.all([...unit.reads.keys()].map((topic) => shared.unsubscribe(topic, stepsGroup(pipeline), 0)))
    },
  }
}
