/**
 * Records on models' inputs become records on their outputs, or on the error topic. A record is done, and its offset may be
 * committed, when what it caused is acknowledged: at least once.
 */
import type { Registry } from 'prom-client'
import { backoffMs, pause } from '../../kit/backoff.ts'
import { atMost } from '../../kit/deadline.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'
import type { Consumer, ConsumerOptions, OnRecord } from '../consumer/types.ts'
import { recordAtLast } from '../journal/insist.ts'
import type { Journal, JournalRecord } from '../journal/journal.ts'
import { ERRORS, parseTopicName, type TopicEnd, topicName, type TopicSpace } from '../journal/topics.ts'
import type { IncomingRecord } from '../kafka/client.ts'
import type { ModelClient, ModelEnd } from '../model-client/model-client.ts'
import { createTurns } from '../../kit/turns.ts'
import type { Answered } from './answered.ts'
import { createModelGatewayMetrics, type ModelGatewayMetrics, type RecordOutcome } from './metrics.ts'
import { ModelLine } from './model-line.ts'
import { callHeaders, doubted, errorRecord, isAsked, outputRecord, readAsked, type RecordedFailure } from './records.ts'

const BACKOFF = { minMs: 100, maxMs: 5_000 }
const LOOK_AT_ONCE = 16

export interface ModelGatewayOptions {
  readonly space: TopicSpace
  readonly maxConcurrentPerModel: number
  readonly requestTimeoutMs: number
  readonly maxWaitMs: number
  readonly drainTimeoutMs: number
  readonly consumer: ConsumerOptions
}

export interface ModelGatewayDeps {
  /** What was answered before a model is read here. `isHandedOver`: whoever read it before has released it. */
  readonly lookAtAnswered: (model: string, isHandedOver: boolean) => Promise<Answered>
  readonly consume: (options: ConsumerOptions, onRecord: OnRecord) => Consumer
  readonly models: Pick<ModelClient, 'infer'>
  readonly journal: Journal
  readonly registry: Registry
  readonly isConnected: () => boolean
  readonly log: Logger
  readonly nowMs: () => number
}

export interface ModelGateway {
  readonly assign: (model: string, isHandedOver: boolean) => void
  /** Resolves when nothing of it runs here any more, and what was done is committed. */
  readonly revoke: (model: string) => Promise<void>
  /** Model to records that are not done. */
  readonly lag: () => ReadonlyMap<string, number>
  readonly stop: () => Promise<void>
}

const endOf = (name: string, side: 'inputs' | 'outputs'): TopicEnd => ({ kind: 'model', name, side })

export function createModelGateway(options: ModelGatewayOptions, deps: ModelGatewayDeps): ModelGateway {
  const { space, requestTimeoutMs, maxWaitMs } = options
  const { models, journal, log, nowMs } = deps
  const stopping = new AbortController()
  const lines = new Map<string, ModelLine>()
  const answered = new Map<string, Answered>()
  const turns = createTurns(LOOK_AT_ONCE)

  const lag = (): ReadonlyMap<string, number> =>
    new Map([...consumer.lag()].map(([topic, records]) => [modelOf(space, topic), records]))
  const metrics: ModelGatewayMetrics = createModelGatewayMetrics(deps.registry, {
    lag,
    running: () => new Map([...lines].map(([model, { running }]) => [model, running])),
    connected: deps.isConnected,
  })

  /** @throws ServingError: Kafka will never take it */
  const write = (record: JournalRecord): Promise<boolean> => recordAtLast(journal, record, stopping.signal)

  /** False: nothing was written, so the record is not done. */
  const fail = async (record: IncomingRecord, model: string, failure: RecordedFailure): Promise<boolean> => {
    try {
      return await write(errorRecord(record, model, failure))
    } catch (error) {
      log.error({ model, error: String(error) }, 'the record of an error cannot be written')
      return false
    }
  }

  const onRecord = (read: IncomingRecord, done: () => void): void => {
    const model = modelOf(space, read.topic)
    const before = answered.get(model)
    if (isAsked(read) || before?.hasAnswer(read) === true) {
      done()
      return
    }
    const record = before?.mayBeAsked(read) === true ? doubted(read) : read
    const takenMs = nowMs()
    const finish = async (outcome: RecordOutcome, isWritten: Promise<boolean>): Promise<void> => {
      if (!(await isWritten)) return
      metrics.ended(model, outcome, (nowMs() - takenMs) / 1_000)
      done()
    }
    let asked: ReturnType<typeof readAsked>
    try {
      asked = readAsked(record)
    } catch (error) {
      void finish('poison', fail(record, model, toServingError(error)))
      return
    }
    const onEnd = async (end: ModelEnd): Promise<void> => {
      if (end.kind === 'failed') return finish('failed', fail(record, model, end.failure))
      try {
        await finish('answered', write(outputRecord(record, model, asked, end.response, end.routes)))
      } catch (error) {
        const { code, grpcStatus, message } = toServingError(error) // too large for its topic, or for JSON
        await finish(
          'failed',
          fail(record, model, { code, grpcStatus, message: `its answer cannot be recorded: ${message}` }),
        )
      }
    }
    lines.get(model)?.add({
      call: { model, request: asked.request, headers: callHeaders(record.headers), timeoutMs: requestTimeoutMs },
      onEnd,
    })
  }
  const consumer = deps.consume(options.consumer, onRecord)

  /** Topics are made once; a consumer waits for those that somebody deletes. */
  const begin = async (model: string, line: ModelLine, isHandedOver: boolean): Promise<void> => {
    const isHeld = (): boolean => lines.get(model) === line && !stopping.signal.aborted
    for (let attempt = 0; isHeld(); attempt++) {
      try {
        await journal.ensureTopics([endOf(model, 'inputs'), endOf(model, 'outputs'), ERRORS])
        const give = await turns.take()
        const found = await deps.lookAtAnswered(model, isHandedOver).finally(give)
        if (isHeld()) answered.set(model, found)
        if (isHeld()) await consumer.assign(topicName(space, endOf(model, 'inputs')))
        return
      } catch (error) {
        if (attempt === 0) log.warn({ model, error: String(error) }, 'a model cannot be read yet')
        await pause(backoffMs(attempt, BACKOFF), stopping.signal)
      }
    }
  }

  /** `untilWritten`: nothing of it is under way when this resolves. */
  const release = async (model: string, untilWritten: boolean): Promise<void> => {
    const line = lines.get(model)
    if (line === undefined) return
    const left = line.leave()
    await atMost(options.drainTimeoutMs, left)
    line.drop()
    if (untilWritten) await left
    lines.delete(model)
    answered.delete(model)
    await consumer.release(topicName(space, endOf(model, 'inputs')), 0)
  }

  return {
    assign: (model, isHandedOver) => {
      if (lines.has(model)) return
      const line = new ModelLine({
        models,
        maxConcurrent: options.maxConcurrentPerModel,
        maxWaitMs,
        onRetry: () => {
          metrics.retried(model)
        },
        nowMs,
      })
      lines.set(model, line)
      void begin(model, line, isHandedOver)
    },
    revoke: (model) => release(model, true),
    lag,
    stop: async () => {
      await Promise.all([...lines.keys()].map((model) => release(model, false)))
      stopping.abort()
      await consumer.stop(0)
    },
  }
}

function modelOf(space: TopicSpace, topic: string): string {
  const end = parseTopicName(space, topic)
  return end?.kind === 'model' ? end.name : ''
}
