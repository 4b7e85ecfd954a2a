/**
 * Topics, keys and headers: cases 1 to 5 and 19 of the reference's acceptance cases. Void cases of the same section:
 *
 * - 6 (bucket 78 of 100, group `foo-default-seldon-pipelinegateway-78`): there are no buckets and no consumer groups of
 *   gateways, because answers do not come by Kafka; whoever reads assigns partitions to himself, and another pipeline
 *   disturbs nobody ("reads many topics and takes one more without a pause" in `test/integration/kafka-client.test.ts`).
 * - 7 (application id of a version's UID): no Kafka Streams application runs for a version; a running request keeps the
 *   version it began with, and its records say which (`x-pipeline-version`, below).
 */
import { describe, expect, it } from 'vitest'
import {
  errorHeaders,
  failureText,
  journalHeaders,
  readFailure,
  withRoutes,
} from '../../../dataflow/journal/journal-headers.ts'
import { toModelFailure } from '../../../dataflow/model-client/model-failure.ts'
import {
  checkedSpace,
  compositeKey,
  ERRORS,
  parseTopicName,
  parseTopicReference,
  partitionOfKey,
  topicName,
  TopicNames,
} from '../../../dataflow/journal/topics.ts'

const STANDARD = checkedSpace({ prefix: '', namespace: '' })

describe('topics', () => {
  it('case 1: an empty prefix is seldon, an empty namespace is default', () => {
    expect(topicName(STANDARD, { kind: 'model', name: 'iris', side: 'inputs' })).toBe(
      'seldon.default.model.iris.inputs',
    )
    expect(topicName(STANDARD, ERRORS)).toBe('seldon.default.errors.errors')
  })

  it('case 2: a reference names a topic and a tensor, under a prefix with a dot', () => {
    const space = checkedSpace({ prefix: 'foo.bar', namespace: '' })
    const step = parseTopicReference('test', 'model1.outputs.t1')
    expect(step?.tensor).toBe('t1')
    expect(topicName(space, step?.end ?? ERRORS)).toBe('foo.bar.default.model.model1.outputs')
    const own = parseTopicReference('test', 'test.inputs')
    expect(own?.tensor).toBeUndefined()
    expect(topicName(space, own?.end ?? ERRORS)).toBe('foo.bar.default.pipeline.test.inputs')
  })

  it('a name alone means the outputs of a step and the inputs of the pipeline', () => {
    expect(parseTopicReference('p', 'a')?.end).toEqual({ kind: 'model', name: 'a', side: 'outputs' })
    expect(parseTopicReference('p', 'p')?.end).toEqual({ kind: 'pipeline', name: 'p', side: 'inputs' })
  })

  it.each(['', '.inputs', 'a.middle', 'a.inputs.t.u', 'a.inputs.'])('%j is no reference', (reference) => {
    expect(parseTopicReference('p', reference)).toBeUndefined()
  })

  it('case 3: a prefix with a slash is refused, by name', () => {
    expect(() => checkedSpace({ prefix: 'bad/prefix', namespace: '' })).toThrow(/topicPrefix: "bad\/prefix" must be/)
    expect(() => checkedSpace({ prefix: '', namespace: 'a.b' })).toThrow(/namespace: "a.b" must be/)
    expect(() => checkedSpace({ prefix: 'p'.repeat(200), namespace: '' })).toThrow(/too long/)
  })

  it('case 4: a topic of another namespace is not ours', () => {
    expect(parseTopicName(STANDARD, 'seldon.foo.model.m.inputs')).toBeUndefined()
  })

  it.each(['seldon.default.model.m', 'seldon.default.other.m.inputs', 'seldon.default.model.m.inputs.more', 'x'])(
    '%s is no topic of ours',
    (topic) => {
      expect(parseTopicName(STANDARD, topic)).toBeUndefined()
    },
  )

  it('a name and its parts are each other, whatever dots the prefix has', () => {
    const space = checkedSpace({ prefix: 'foo.bar.', namespace: 'team-1' })
    for (const end of [ERRORS, { kind: 'pipeline', name: 'p', side: 'outputs' } as const])
      expect(parseTopicName(space, topicName(space, end))).toEqual(end)
    expect(topicName(space, ERRORS)).toBe('foo.bar..team-1.errors.errors')
  })

  it('names that are kept are the same, for however many models and pipelines', () => {
    const names = new TopicNames(STANDARD)
    for (let index = 0; index < 25_000; index++) {
      const end = {
        kind: index % 2 === 0 ? 'model' : 'pipeline',
        name: `m${String(index % 12_000)}`,
        side: index % 3 === 0 ? 'inputs' : 'outputs',
      } as const
      if (names.of(end) !== topicName(STANDARD, end)) expect(names.of(end)).toBe(topicName(STANDARD, end))
    }
    expect(names.of(ERRORS)).toBe('seldon.default.errors.errors')
  })
})

describe('keys', () => {
  it('case 5: the key begins with the partition, which other topics clamp', () => {
    expect(compositeKey(2, 'p', 'r')).toBe('2.p.r')
    expect(partitionOfKey('2.p.r', 4)).toBe(2)
    expect(partitionOfKey('9.p.r', 4)).toBe(3)
    expect(partitionOfKey('abc', 4)).toBe(0)
    expect(partitionOfKey('-3.p.r', 4)).toBe(0)
    expect(partitionOfKey('7', 4)).toBe(3)
    expect(partitionOfKey('', 4)).toBe(0)
    expect(partitionOfKey('1e1.p', 20)).toBe(0)
  })
})

describe('headers', () => {
  const origin = { pipeline: 'p', version: 3, requestId: 'r' }

  it('case 19: of the caller only x-*, in lower case', () => {
    const callerHeaders: [string, string][] = [
      ['X-Foo', 'bar'],
      ['Content-Type', 'application/json'],
    ]
    expect(journalHeaders({ ...origin, callerHeaders })).toEqual([
      ['pipeline', 'p'],
      ['x-pipeline-version', '3'],
      ['x-request-id', 'r'],
      ['x-foo', 'bar'],
    ])
  })

  it('a caller cannot say whose record it is', () => {
    const callerHeaders: [string, string][] = [
      ['pipeline', 'other'],
      ['X-Pipeline-Version', '9'],
      ['x-request-id', 'other'],
      ['seldon-pipeline-errors', 'm'],
    ]
    expect(journalHeaders({ ...origin, callerHeaders })).toHaveLength(3)
  })

  it('an answer names each route that its steps took once, beside those of the caller', () => {
    const headers = [['x-seldon-route', ':a_1:']] as const
    expect(withRoutes(headers, [':a_1:', ':b_1:', ':b_1:'])).toEqual([...headers, ['x-seldon-route', ':b_1:']])
    expect(withRoutes(headers, [])).toBe(headers)
  })

  it('an error names the step that failed, once', () => {
    const first = errorHeaders([['pipeline', 'p']], { source: 'a', code: 'REQUEST_INVALID', grpcStatus: 3 })
    expect(errorHeaders(first, { source: 'b', code: 'SERVER_OVERLOADED', grpcStatus: 8 })).toEqual([
      ['pipeline', 'p'],
      ['seldon-pipeline-errors', 'b'],
      ['x-millrace-error-code', 'SERVER_OVERLOADED'],
      ['x-millrace-error-status', '8'],
    ])
  })

  it('a failure is read as it was written, with its text as a gateway writes it or alone', () => {
    const failure = { source: 'a', ...toModelFailure(12, 'no such method', undefined) }
    const headers = errorHeaders([['x-foo', 'bar']], failure)
    for (const text of [failureText(failure), failure.message])
      expect(readFailure({ headers, value: Buffer.from(text) })).toEqual(failure)
    expect(readFailure({ headers: [['x-foo', 'bar']], value: Buffer.from('a : b') })).toBeUndefined()
  })

  it('an error of another program has the class of any failure', () => {
    for (const more of [[], [['x-millrace-error-code', 'constructor']], [['x-millrace-error-status', '99']]])
      expect(
        readFailure({
          headers: [['seldon-pipeline-errors', 'm'], ...(more as [string, string][])],
          value: Buffer.from('why'),
        }),
      ).toEqual({ source: 'm', code: 'INFERENCE_FAILED', grpcStatus: 2, httpStatus: 500, message: 'why' })
  })
})
