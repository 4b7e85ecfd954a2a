/**
 * Pipelines over topics in memory: an engine's part of it that may be killed at any moment, and models that answer when the
 * test says so.
 */
import { decodeRequest, headerOf } from '../../../../dataflow/journal/decode.ts'
import type { Subscription } from '../../../../dataflow/consumer/types.ts'
import type { HeldPlan } from '../../../../dataflow/control/held-plans.ts'
import { createEndedKeys } from '../../../../dataflow/engine/ended-keys.ts'
import { createTopicsUnits, type TopicsUnits } from '../../../../dataflow/engine/topics-units.ts'
import { createTurns } from '../../../../kit/turns.ts'
import { errorRecord, outputRecord } from '../../../../dataflow/model-gateway/records.ts'
import { ownFailure } from '../../../../dataflow/model-client/model-failure.ts'
import { parseTopicName } from '../../../../dataflow/journal/topics.ts'
import type { IncomingRecord } from '../../../../dataflow/kafka/client.ts'
import { createTopicsRunner } from '../../../../dataflow/runner/topics-runner.ts'
import { silentLogger } from '../../../../kit/log.ts'
import type { Model } from '../virtual-run.ts'
import { inputs, kafkaInMemory, SPACE } from './kafka-in-memory.ts'

export interface TopicsSceneOptions {
  readonly models: Readonly<Record<string, Model>>
  readonly maxBytes?: number
  readonly maxRequests?: number
}

export function topicsScene(given: HeldPlan, { models, maxBytes = 1e9, maxRequests = 100 }: TopicsSceneOptions) {
  const kafka = kafkaInMemory()
  let held: HeldPlan = given
  let engine: { readonly units: TopicsUnits; readonly subscriptions: Subscription[]; isDead: boolean } | undefined
  const outcomes: string[] = []
  const answered = new Set<IncomingRecord>()
  /** Of the inputs: those that are done. */
  const done = new Set<IncomingRecord>()
  const { pipeline } = given

  const start = async (): Promise<void> => {
    const subscriptions: Subscription[] = []
    const one = { subscriptions, isDead: false }
    const units = createTopicsUnits({
      space: SPACE,
      reader: kafka.reader,
      shared: {
        subscribe: (subscription) => {
          subscriptions.push(subscription)
          return Promise.resolve()
        },
        unsubscribe: (topic) => {
          const index = subscriptions.findIndex((other) => other.topic === topic)
          if (index >= 0) subscriptions.splice(index, 1)
          return Promise.resolve()
        },
      },
      group: 'g',
      runner: createTopicsRunner({
        // What is killed writes nothing more.
        journal: {
          ...kafka.journal,
          record: (record) => (one.isDead ? new Promise<void>(() => undefined) : kafka.journal.record(record)),
        },
        maxBytes,
        log: silentLogger,
        nowMs: () => performance.now(),
      }),
      journal: kafka.journal,
      turns: createTurns(maxRequests),
      ended: createEndedKeys(1_000),
      plan: () => held,
      count: (_, outcome) => outcomes.push(outcome),
      signal: new AbortController().signal,
      log: silentLogger,
      nowMs: () => performance.now(),
      wallMs: kafka.nowMs,
    })
    engine = Object.assign(one, { units })
    await units.begin(held)
    for (const record of kafka.recordsOf(inputs(pipeline))) feed(record)
  }

  /** As a consumer does: again what is not done. */
  const feed = (record: IncomingRecord): void => {
    const isEnded = kafka.recordsOf(`seldon.default.pipeline.${pipeline}.outputs`).some(({ key }) => key === record.key)
    if (done.has(record) || isEnded) return
    engine?.units.onInput(held, record, () => done.add(record), false)
  }

  /** As shared reading does. */
  const deliver = (record: IncomingRecord): void => {
    if (headerOf(record.headers, 'pipeline') !== pipeline) return
    for (const { topic, onRecord } of engine?.subscriptions ?? [])
      if (topic === record.topic) onRecord(record, () => undefined)
  }

  const asked = (): readonly IncomingRecord[] =>
    held.plan.steps.flatMap((step) =>
      kafka
        .recordsOf(`seldon.default.model.${step}.inputs`)
        .filter((record) => headerOf(record.headers, 'x-millrace-runner') !== 'direct' && !answered.has(record)),
    )

  /** As a model gateway does. */
  const answer = (record: IncomingRecord): void => {
    answered.add(record)
    const end = parseTopicName(SPACE, record.topic)
    if (end?.kind !== 'model') throw new Error('not a step')
    const request = decodeRequest(record)
    const result = models[end.name]?.(request.inputs, request) ?? new Error('no such model')
    const written =
      result instanceof Error
        ? errorRecord(record, end.name, ownFailure('INFERENCE_FAILED', result.message))
        : outputRecord(
            record,
            end.name,
            { request, form: 'protobuf' },
            { modelName: '', modelVersion: '', id: '', parameters: {}, outputs: result },
            [],
          )
    const topic = result instanceof Error ? 'seldon.default.errors.errors' : `seldon.default.model.${end.name}.outputs`
    void kafka.journal.record(written)
    const last = kafka.recordsOf(topic).at(-1)
    if (last !== undefined) deliver(last)
  }

  return {
    ...kafka,
    start,
    outcomes,
    done,
    asked,
    answer,
    deliver,
    ask: (key: string, value: Uint8Array, headers: readonly (readonly [string, string])[] = []): IncomingRecord => {
      const record = kafka.put(inputs(pipeline), key, value, headers)
      feed(record)
      return record
    },
    topicsRead: (): readonly string[] => (engine?.subscriptions ?? []).map(({ topic }) => topic),
    serve: (other: HeldPlan): void => {
      held = other
      engine?.units.refresh(pipeline)
    },
    /** At once, with nothing written or committed any more. */
    kill: async (): Promise<void> => {
      if (engine !== undefined) engine.isDead = true
      const { units, subscriptions } = engine ?? {}
      subscriptions?.splice(0)
      await units?.end(pipeline, 0)
      await start()
    },
    /** As when another engine takes the pipeline over. */
    handOver: async (): Promise<void> => {
      await engine?.units.end(pipeline, 1_000)
      await start()
    },
    outputs: () => kafka.recordsOf(`seldon.default.pipeline.${pipeline}.outputs`),
    errors: () => kafka.recordsOf('seldon.default.errors.errors'),
  }
}
