/** What a model gateway finds on the topics of a model that somebody else has read. */
import { expect, test } from 'vitest'
import { lookAtAnswered } from '../../../dataflow/model-gateway/answered.ts'
import { doubted, errorRecord, outputRecord, readAsked } from '../../../dataflow/model-gateway/records.ts'
import { encoded, headersOf, kafkaInMemory, requestOf, SPACE } from './engine/kafka-in-memory.ts'

const INPUTS = 'seldon.default.model.m.inputs'
const ASKED = encoded(requestOf('IN'))
const RESPONSE = { modelName: 'm', modelVersion: '1', id: '', parameters: {}, outputs: requestOf('OUT').inputs }
const FAILURE = { code: 'INFERENCE_FAILED', grpcStatus: 13, message: 'no' } as const

test('each answer and error names the record that it is for, so equal keys are told apart', async () => {
  const kafka = kafkaInMemory()
  const [committed, first, second, third, fourth] = Array.from({ length: 5 }, () => kafka.put(INPUTS, 'same', ASKED))
  if (!committed || !first || !second || !third || !fourth) throw new Error('unreachable')
  await kafka.journal.record(outputRecord(committed, 'm', readAsked(committed), RESPONSE, []))
  await kafka.journal.record(outputRecord(second, 'm', readAsked(second), RESPONSE, []))
  await kafka.journal.record(errorRecord(third, 'm', FAILURE))
  await kafka.journal.record(errorRecord(fourth, 'other', FAILURE))
  kafka.commits.set(INPUTS, 1n)
  const { hasAnswer, mayBeAsked } = await lookAtAnswered(kafka.reader, SPACE, 'm', 'g', 1)
  const later = kafka.put(INPUTS, 'same', ASKED)
  expect([first, second, third, fourth, later].map(hasAnswer)).toEqual([false, true, true, false, false])
  expect([first, fourth, later].map(mayBeAsked)).toEqual([true, false, false])
})

test('an answer to a record that somebody copied from an answer names its own record', () => {
  const kafka = kafkaInMemory()
  kafka.put(INPUTS, 'a', ASKED)
  const copied = kafka.put(INPUTS, 'b', ASKED, [['x-millrace-input', '0.7']])
  const { headers } = outputRecord(copied, 'm', readAsked(copied), RESPONSE, [])
  expect(headers.filter(([name]) => name === 'x-millrace-input')).toEqual([['x-millrace-input', '0.1']])
})

test('what somebody who is gone may have asked is marked, and its answer with it', () => {
  const record = doubted(kafkaInMemory().put(INPUTS, 'a', ASKED))
  const { headers } = outputRecord(record, 'm', readAsked(record), RESPONSE, [])
  expect(headers).toContainEqual(['x-millrace-replayed', '1'])
  expect(headersOf(record)).not.toHaveProperty('x-millrace-input')
})
