import { expect, test } from 'vitest'
import type { HeldPlan } from '../../../../dataflow/control/held-plans.ts'
import { type Begun, createAsynchronous, type Outcome } from '../../../../dataflow/engine/asynchronous.ts'
import { createScope } from '../../../../dataflow/engine/scope.ts'
import { createTurns } from '../../../../kit/turns.ts'
import type { Journal } from '../../../../dataflow/journal/journal.ts'
import type { IncomingRecord } from '../../../../dataflow/kafka/client.ts'
import type { ModelCall, ModelEnd } from '../../../../dataflow/model-client/model-client.ts'
import { ownFailure } from '../../../../dataflow/model-client/model-failure.ts'
import { createDirectRunner } from '../../../../dataflow/runner/direct-runner.ts'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import { ServingError } from '../../../../kit/errors.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { recordingBy } from '../../../support/recording.ts'
import { encoded, headersOf, heldPlan, inputs, kafkaInMemory, requestOf } from './kafka-in-memory.ts'

const CHAIN: PipelineSpec = { steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }], output: { steps: ['b'] } }
const { inputs: outputs } = requestOf('OUT')
const RESPONSE = { modelName: '', modelVersion: '', id: '', parameters: {}, outputs }
const answer: ModelEnd = { kind: 'answered', response: RESPONSE, routes: [] }

function scene(options: { answer?: (call: ModelCall) => ModelEnd; journal?: Partial<Journal>; turns?: number } = {}) {
  const kafka = kafkaInMemory()
  const calls: ModelCall[] = []
  const ends: Outcome[] = []
  const stopping = new AbortController()
  const journal = { ...kafka.journal, ...recordingBy(options.journal?.record ?? kafka.journal.record) }
  let most = 0
  const runner = createDirectRunner({
    models: {
      infer: (call, onEnd) => {
        calls.push(call)
        most = Math.max(most, runner.running())
        setImmediate(() => {
          onEnd(options.answer?.(call) ?? answer)
        })
        return () => undefined
      },
    },
    journal,
    maxRequests: 100,
    log: silentLogger,
    nowMs: () => performance.now(),
  })
  const runIn = createAsynchronous({
    runner,
    journal,
    turns: createTurns(options.turns ?? 10),
    log: silentLogger,
    count: (_, outcome) => void ends.push(outcome),
  })
  const scope = createScope(stopping.signal)
  const run = (held: HeldPlan, record: IncomingRecord, begun?: Begun) => runIn(held, record, scope, begun)
  const topic = (name: string) => kafka.recordsOf(`seldon.default.${name}`)
  return { ...kafka, run, scope, calls, ends, stop: () => stopping.abort(), topic, most: () => most }
}

test('a record of a user is run, and its result lies on the outputs under a key of ours', async () => {
  const { run, put, topic, ends, calls } = scene()
  const record = put(inputs('p'), 'order-1', encoded(requestOf('IN')), [['x-tenant', 'blue']])
  expect(await run(heldPlan('p', CHAIN), record)).toBe(true)
  expect(ends).toEqual(['answered'])
  expect(calls.map(({ model }) => model)).toEqual(['a', 'b'])
  expect(calls[0]?.headers).toContainEqual(['x-tenant', 'blue'])
  const [result] = topic('pipeline.p.outputs')
  expect(result?.key).toMatch(/^0\.p\.\w+-0-0$/)
  expect(headersOf(result)).toMatchObject({ pipeline: 'p', 'x-millrace-key': 'order-1', 'x-tenant': 'blue' })
  expect(headersOf(result)).not.toHaveProperty('x-millrace-replayed')
  expect(topic('model.a.outputs')[0]?.key).toBe(result?.key)
  expect(topic('pipeline.p.inputs')).toHaveLength(1)
})

test('with record none the result is written all the same, and nothing of the steps', async () => {
  const { run, put, topic } = scene()
  await run(heldPlan('p', { ...CHAIN, dataflow: { record: 'none' } }), put(inputs('p'), 'k', encoded(requestOf('IN'))))
  expect(topic('pipeline.p.outputs')).toHaveLength(1)
  expect(topic('model.a.outputs')).toHaveLength(0)
})

test('poison lies on the errors topic and on the outputs, with the reason, and is done', async () => {
  const { run, put, topic, ends } = scene()
  expect(await run(heldPlan('p', CHAIN), put(inputs('p'), 'bad', Buffer.from('{"inputs":')))).toBe(true)
  for (const name of ['errors.errors', 'pipeline.p.outputs']) {
    const [record] = topic(name)
    expect(record?.value.toString()).toMatch(/^p : .*JSON/)
    expect(headersOf(record)).toMatchObject({ 'seldon-pipeline-errors': 'p', 'x-millrace-key': 'bad' })
  }
  expect(ends).toEqual(['poison'])
})

test('a failing step is the result, once', async () => {
  const failed: ModelEnd = { kind: 'failed', failure: ownFailure('TENSOR_INVALID', 'wrong shape') }
  const { run, put, topic, ends } = scene({ answer: () => failed })
  expect(await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))))).toBe(true)
  expect(topic('errors.errors').map(({ value }) => value.toString())).toEqual(['a : wrong shape'])
  expect(topic('pipeline.p.outputs')).toHaveLength(1)
  expect(ends).toEqual(['failed'])
})

test('a result that Kafka did not take is made again, marked, and only then the record is done', async () => {
  let refusals = 1
  const kafka = kafkaInMemory()
  const { run, put, calls, ends } = scene({
    journal: {
      record: (record) => {
        const isResult = record.topic.kind === 'pipeline' && record.topic.side === 'outputs'
        if (isResult && refusals-- > 0) return Promise.reject(new ServingError('KAFKA_UNAVAILABLE', 'away'))
        return kafka.journal.record(record)
      },
    },
  })
  expect(await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))))).toBe(true)
  expect(calls).toHaveLength(4)
  expect(ends).toEqual(['answered'])
  expect(headersOf(kafka.recordsOf('seldon.default.pipeline.p.outputs')[0])).toHaveProperty('x-millrace-replayed', '1')
})

test('a result that is too large for its topic is told as an error', async () => {
  const kafka = kafkaInMemory()
  const { run, put } = scene({
    journal: {
      record: (record) =>
        record.topic.kind === 'pipeline' && record.message.kind === 'response'
          ? Promise.reject(new ServingError('REQUEST_TOO_LARGE', 'too large'))
          : kafka.journal.record(record),
    },
  })
  expect(await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))))).toBe(true)
  const [result] = kafka.recordsOf('seldon.default.pipeline.p.outputs')
  expect(result?.value.toString()).toBe('p : too large')
})

test('what was begun before goes on with what its steps answered, marked', async () => {
  const { run, put, topic, calls } = scene()
  const begun = { version: 1, answers: new Map([['a', RESPONSE]]) }
  await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))), begun)
  expect(calls.map(({ model }) => model)).toEqual(['b'])
  expect(headersOf(topic('pipeline.p.outputs')[0])).toHaveProperty('x-millrace-replayed', '1')
})

test('answers of another version of the pipeline are not used', async () => {
  const { run, put, calls } = scene()
  const begun = { version: 2, answers: new Map([['a', RESPONSE]]) }
  await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))), begun)
  expect(calls.map(({ model }) => model)).toEqual(['a', 'b'])
})

test('only so many run at once', async () => {
  const { run, put, most, ends } = scene({ turns: 2 })
  const held = heldPlan('p', CHAIN)
  await Promise.all(Array.from({ length: 9 }, () => run(held, put(inputs('p'), '', encoded(requestOf('IN'))))))
  expect(ends).toHaveLength(9)
  expect(most()).toBe(2)
})

test('what an engine that stops did not end is not done, and leaves no error', async () => {
  const { run, put, topic, stop } = scene({
    answer: () => {
      stop()
      return answer
    },
  })
  expect(await run(heldPlan('p', CHAIN), put(inputs('p'), 'k', encoded(requestOf('IN'))))).toBe(false)
  expect(topic('pipeline.p.outputs')).toHaveLength(0)
})
