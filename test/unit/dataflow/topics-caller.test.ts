/** What a gateway does with a request to a pipeline that is executed over topics: asked on one topic, answered on another. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { InferenceRequest, InferenceResponse } from '../../../api/oip/inference.ts'
import type { Tensor } from '../../../api/oip/tensor.ts'
import type { PipelineSpec } from '../../../api/resources/pipeline.ts'
import { headerOf } from '../../../dataflow/journal/decode.ts'
import { errorHeaders } from '../../../dataflow/journal/journal-headers.ts'
import { type Journal, type JournalRecord, nullJournal } from '../../../dataflow/journal/journal.ts'
import type { IncomingRecord } from '../../../dataflow/kafka/client.ts'
import { encodeInferResponse } from '../../../dataflow/model-client/infer-codec.ts'
import { createListening } from '../../../dataflow/pipeline-gateway/listening.ts'
import { createTopicsCaller } from '../../../dataflow/pipeline-gateway/topics-caller.ts'
import { compile } from '../../../dataflow/plan/compile.ts'
import type { PipelineRequest } from '../../../dataflow/runner/pipeline-request.ts'
import { callerOf } from '../../../dataflow/runner/caller.ts'
import { runRequest } from '../../support/run-request.ts'
import { ServingError } from '../../../kit/errors.ts'
import { silentLogger } from '../../../kit/log.ts'

const SPEC: PipelineSpec = { steps: [{ name: 'a' }], output: { steps: ['a'] }, dataflow: { execution: 'topics' } }
const PLAN = compile('p', 1, SPEC)
const SPACE = { prefix: 'seldon', namespace: 'default' }
const OUTPUTS = 'seldon.default.pipeline.p.outputs'
const TENSOR: Tensor = { name: 't', datatype: 'UINT8', shape: [1], bytes: new Uint8Array([1]), parameters: {} }
const RESPONSE: InferenceResponse = { id: '', modelName: '', modelVersion: '', parameters: {}, outputs: [TENSOR] }
const INPUT: InferenceRequest = { id: '', parameters: {}, inputs: [TENSOR], outputs: [] }

interface Sent {
  readonly record: JournalRecord
  readonly acknowledge: () => void
  readonly refuse: (error: Error) => void
}

function scene(options: { kafka?: boolean; partitions?: number } = {}) {
  const sent: Sent[] = []
  const assigned = new Map<string, () => void>()
  const released: string[] = []
  const journal: Journal = {
    ...nullJournal,
    partitions: options.partitions ?? 1,
    record: (record) =>
      new Promise((acknowledge, refuse) => {
        sent.push({ record, acknowledge, refuse })
      }),
  }
  const caller = createTopicsCaller({
    journal,
    space: SPACE,
    listening: () => listening,
    mark: 'gateway/epoch',
    nowMs: () => performance.now(),
  })
  const listening = createListening({
    consumer:
      options.kafka === false
        ? undefined
        : {
            assign: (topic) =>
              new Promise((resolve) => {
                assigned.set(topic, resolve)
              }),
            release: (topic) => {
              released.push(topic)
              return Promise.resolve()
            },
          },
    space: SPACE,
    untilUnawaited: caller.untilUnawaited,
    log: silentLogger,
  })
  const answer = (key: string, headers: IncomingRecord['headers'], value: Uint8Array, topic = OUTPUTS): void => {
    let isDone = false
    caller.onRecord(
      {
        topic,
        partition: 0,
        offset: 0n,
        key,
        rawKey: Buffer.from(key),
        value: Buffer.from(value),
        headers,
        timestampMs: 0,
      },
      () => {
        isDone = true
      },
    )
    expect(isDone).toBe(true) // nothing is kept in Kafka's way
  }
  const listen = async (): Promise<void> => {
    const begun = listening.begin(PLAN)
    assigned.get(OUTPUTS)?.()
    await begun
  }
  return { caller, listening, sent, assigned, released, answer, listen }
}

const request = (fields: Partial<PipelineRequest> = {}): PipelineRequest => ({
  plan: PLAN,
  journal: { record: 'all', wait: 'input', onFailure: 'fail-closed' },
  request: INPUT,
  requestId: 'r',
  headers: [['x-foo', 'bar']],
  timeoutMs: 1_000,
  caller: callerOf(new AbortController().signal),
  ...fields,
})
const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 10; turn += 1) await Promise.resolve()
}
const RESULT = Buffer.concat(encodeInferResponse(RESPONSE))

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('a request over topics', () => {
  it('puts its input on the topic, marked with who waits and until when', async () => {
    const { caller, sent, listen } = scene()
    await listen()
    void runRequest(caller, request())
    await turns()
    const record = sent[0]?.record
    expect(record).toMatchObject({ key: '0.p.r', partition: 0, onFailure: 'fail-closed' })
    expect(record?.topic).toEqual({ kind: 'pipeline', name: 'p', side: 'inputs' })
    expect(Object.fromEntries(record?.headers ?? [])).toEqual({
      pipeline: 'p',
      'x-pipeline-version': '1',
      'x-request-id': 'r',
      'x-foo': 'bar',
      'x-millrace-gateway': 'gateway/epoch',
      'x-millrace-runner': 'topics',
      'x-request-timeout-ms': '900', // the engine gives up first, and says what was missing
    })
  })

  it('is answered with the record of its key, its routes and the version that ran', async () => {
    const { caller, answer, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    answer(
      '0.p.r',
      [
        ['x-pipeline-version', '2'],
        ['x-seldon-route', ':a_1:'],
      ],
      RESULT,
      'seldon.default.pipeline.q.outputs',
    )
    answer('0.p.other', [], RESULT)
    expect(caller.running()).toBe(1)
    answer(
      '0.p.r',
      [
        ['x-pipeline-version', '2'],
        ['x-seldon-route', ':a_1:'],
      ],
      RESULT,
    )
    expect(await end).toMatchObject({
      kind: 'answered',
      routes: [':a_1:'],
      version: 2,
      response: { outputs: [{ name: 't' }] },
    })
    answer('0.p.r', [], RESULT) // again: nobody waits any more
    expect(caller.running()).toBe(0)
  })

  it('fails with the class of the step that failed', async () => {
    const { caller, answer, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    const headers = errorHeaders([], { source: 'a', code: 'REQUEST_INVALID', grpcStatus: 3 })
    answer('0.p.r', headers, Buffer.from('a : the shape is wrong'))
    expect(await end).toMatchObject({
      kind: 'failed',
      failure: { source: 'a', code: 'REQUEST_INVALID', httpStatus: 400, message: 'the shape is wrong' },
    })
  })

  it('fails with what cannot be read as a result', async () => {
    const { caller, answer, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    answer('0.p.r', [], Buffer.from([0xff, 0xff]))
    expect(await end).toMatchObject({ failure: { source: 'p', code: 'INFERENCE_FAILED' } })
  })

  it('waits until its deadline and no longer', async () => {
    const { caller, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    vi.advanceTimersByTime(999)
    expect(caller.running()).toBe(1)
    vi.advanceTimersByTime(1)
    expect(await end).toMatchObject({ failure: { source: 'p', code: 'DEADLINE_EXCEEDED', httpStatus: 504 } })
    expect(caller.running()).toBe(0)
  })

  it('waits no longer than its caller', async () => {
    const { caller, listen } = scene()
    await listen()
    const gone = new AbortController()
    const end = runRequest(caller, request({ caller: callerOf(gone.signal) }))
    await turns()
    gone.abort()
    expect(await end).toMatchObject({ failure: { code: 'CANCELLED' } })
    expect(vi.getTimerCount()).toBe(0)
  })

  it('fails at once when Kafka does not take it', async () => {
    const { caller, sent, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    sent[0]?.refuse(new ServingError('KAFKA_UNAVAILABLE', 'Kafka is away'))
    expect(await end).toMatchObject({ failure: { code: 'KAFKA_UNAVAILABLE', httpStatus: 503 } })
  })

  it('is not sent before its answer would be seen, nor after its deadline', async () => {
    const { caller, sent, assigned } = scene()
    const [late, soon] = [
      runRequest(caller, request({ timeoutMs: 100 })),
      runRequest(caller, request({ requestId: 's' })),
    ]
    await turns()
    expect(sent).toEqual([])
    vi.advanceTimersByTime(500)
    assigned.get(OUTPUTS)?.()
    await turns()
    expect(await late).toMatchObject({ failure: { code: 'DEADLINE_EXCEEDED' } })
    expect(sent.map(({ record }) => [record.key, headerOf(record.headers, 'x-request-timeout-ms')])).toEqual([
      ['0.p.s', '450'],
    ])
    void soon
  })

  it('gets a key of its own when its caller gave the id before', async () => {
    const { caller, sent, listen } = scene()
    await listen()
    for (let index = 0; index < 2; index += 1) void runRequest(caller, request())
    await turns()
    const [first, second] = sent.map(({ record }) => record)
    expect(first?.key).toBe('0.p.r')
    expect(second?.key).toMatch(/^0\.p\.[0-9a-f-]{36}$/)
    expect(headerOf(second?.headers ?? [], 'x-request-id')).toBe('r')
  })

  it('takes the partitions in turn', async () => {
    const { caller, sent, listen } = scene({ partitions: 3 })
    await listen()
    for (let index = 0; index < 3; index += 1) void runRequest(caller, request())
    await turns()
    expect(sent.map(({ record }) => record.key)).toEqual(['1.p.r', '2.p.r', '0.p.r'])
  })

  it('of a pipeline without output is done when Kafka has it, and answers nothing', async () => {
    const { caller, sent, listen } = scene()
    await listen()
    const { output: _, ...spec } = SPEC
    const end = runRequest(caller, request({ plan: compile('p', 1, spec) }))
    await turns()
    sent[0]?.acknowledge()
    expect(await end).toMatchObject({ failure: { code: 'PIPELINE_NO_OUTPUT' } })
  })

  it('says what is missing in a gateway without Kafka', async () => {
    const { caller, listening } = scene({ kafka: false })
    await expect(listening.begin(PLAN)).rejects.toThrow(/execution.*topics.*--kafka-bootstrap-servers/)
    expect(await runRequest(caller, request())).toMatchObject({ failure: { code: 'KAFKA_UNAVAILABLE' } })
  })
})

describe('the topics of answers', () => {
  it('are read once for all versions, and not for a plan that runs directly', async () => {
    const { listening, assigned, listen } = scene()
    await listening.begin(compile('d', 1, { steps: [{ name: 'a' }], output: { steps: ['a'] } }))
    expect([...assigned.keys()]).toEqual([])
    await listen()
    await listening.begin(compile('p', 2, SPEC))
    expect([...assigned.keys()]).toEqual([OUTPUTS])
  })

  it('are let go when no plan needs them, after the last answer', async () => {
    const { caller, listening, released, answer, listen } = scene()
    await listen()
    const end = runRequest(caller, request())
    await turns()
    listening.keep([])
    listening.keep([])
    await turns()
    expect(released).toEqual([])
    answer('0.p.r', [], RESULT)
    expect(await end).toMatchObject({ kind: 'answered' })
    await turns()
    expect(released).toEqual([OUTPUTS])
  })

  it('stay when the pipeline comes back meanwhile', async () => {
    const { caller, listening, released, answer, listen } = scene()
    await listen()
    void runRequest(caller, request())
    await turns()
    listening.keep([])
    listening.keep([PLAN])
    answer('0.p.r', [], RESULT)
    await turns()
    expect(released).toEqual([])
    expect(listening.placing('p')).toBeUndefined()
  })

  it('that cannot be read are told in time', async () => {
    const { listening } = scene()
    const begun = listening.begin(PLAN)
    vi.advanceTimersByTime(20_000)
    await expect(begun).rejects.toThrow(/outputs of pipeline "p" cannot be read yet/)
  })
})
