/**
 * Drives the cores of the gateway and the engine with stubs at their ends, and says what each request left in the old space of
 * the heap. `node --expose-gc --import tsx hot-paths.ts`; writes `{ "<path>": <bytes per request> }` to its standard output.
 */
import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapSpaceStatistics } from 'node:v8'
import { Registry } from 'prom-client'
import { GRPCInferenceService } from '../../api/grpc.ts'
import { toGrpcRequest, toGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { PipelineSpec } from '../../api/resources/pipeline.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { toRestResponse } from '../../api/oip/rest-response.ts'
import { createAsynchronous } from '../../dataflow/engine/asynchronous.ts'
import { createEndedKeys } from '../../dataflow/engine/ended-keys.ts'
import { createScope } from '../../dataflow/engine/scope.ts'
import { TopicsRequests } from '../../dataflow/engine/topics-requests.ts'
import type { Journal } from '../../dataflow/journal/journal.ts'
import { createKafkaJournal } from '../../dataflow/journal/kafka-journal.ts'
import type { KafkaAdmin, KafkaClient, KafkaProducer } from '../../dataflow/kafka/client.ts'
import type { ModelCall, ModelEnd } from '../../dataflow/model-client/model-client.ts'
import { encodeInferRequest } from '../../dataflow/model-client/infer-codec.ts'
import { ModelLine } from '../../dataflow/model-gateway/model-line.ts'
import { outputRecord, readAsked } from '../../dataflow/model-gateway/records.ts'
import { createGatewayMetrics } from '../../dataflow/pipeline-gateway/metrics.ts'
import { createDirectRunner } from '../../dataflow/runner/direct-runner.ts'
import { createTopicsRunner } from '../../dataflow/runner/topics-runner.ts'
import type { PipelineRequest } from '../../dataflow/runner/pipeline-request.ts'
import { silentLogger } from '../../kit/log.ts'
import { createTurns } from '../../kit/turns.ts'
import { heldPlan } from '../unit/dataflow/engine/kafka-in-memory.ts'

const AT_ONCE = 16
const WARM_UP = 3_000
const REQUESTS = 6_000

const BODY = Buffer.from('{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[5.1,3.5,1.4,0.2]}]}')
const nowMs = (): number => performance.now()
const answerOf = (outputs: ModelCall['request']['inputs']) => ({
  modelName: 'a',
  modelVersion: '',
  id: '',
  parameters: {},
  outputs,
})

/** A model that answers in another turn of the event loop, as any does. */
const models = {
  infer: ({ request, model }: ModelCall, onEnd: (end: ModelEnd) => void): (() => void) => {
    encodeInferRequest(request, model)
    setImmediate(() => {
      onEnd({ kind: 'answered', response: answerOf(request.inputs), routes: [`:${model}_1:`] })
    })
    return () => undefined
  },
}

const kafka = {
  producer: (): KafkaProducer => ({
    send: (records) =>
      new Promise((resolve) => {
        setImmediate(() => {
          resolve(records.map(() => ({ kind: 'acknowledged' }) as const))
        })
      }),
    close: () => Promise.resolve(),
  }),
  admin: (): KafkaAdmin => ({
    brokers: () => Promise.resolve(1),
    partitions: (topics) => Promise.resolve(new Map(topics.map((topic) => [topic, 1]))),
    createTopics: () => Promise.resolve(),
    deleteTopics: () => Promise.resolve(),
    close: () => Promise.resolve(),
  }),
} as KafkaClient

const journal = createKafkaJournal(
  {
    space: { prefix: 'seldon', namespace: 'default' },
    partitions: 1,
    replicationFactor: 1,
    maxRecordBytes: 1_000_000,
    maxWaitingBytes: 100_000_000,
    lingerMs: 0,
    batchBytes: 1_000_000,
    batchRecords: 1_000,
    deliveryTimeoutMs: 60_000,
    compression: 'none',
    spillFile: join(tmpdir(), `millrace-hot-paths-${randomUUID()}`),
    maxSpillBytes: 0,
  },
  { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
)
const SPEC: PipelineSpec = { steps: [{ name: 'a' }, { name: 'b', inputs: ['a'] }], output: { steps: ['b'] } }
const held = heldPlan('p', SPEC)
const runner = createDirectRunner({ models, journal, maxRequests: 1_000, mark: 'g/1', log: silentLogger, nowMs })
const count = createGatewayMetrics(new Registry(), { running: () => 0, held: () => 1, connected: () => true })

/** From the bytes of a request to those of its answer. */
function callGateway(id: number, done: () => void): void {
  const request = parseRestRequest(BODY)
  const asked: PipelineRequest = {
    plan: held.plan,
    journal: { record: 'all', wait: 'input', onFailure: 'fail-closed' },
    request,
    requestId: String(id),
    headers: [['x-tenant', 'blue']],
    timeoutMs: 60_000,
    caller: { isGone: false, onGone: undefined },
  }
  runner.run(asked, (end) => {
    if (end.kind === 'failed') throw new Error(end.failure.message)
    toRestResponse(end.response, request)
    count('rest', 'p', end, 1)
    done()
  })
}

const value = GRPCInferenceService.service.ModelInfer.requestSerialize(toGrpcRequest(parseRestRequest(BODY), '', 'raw'))
const recordOf = (id: number, topic: string) => ({
  topic,
  partition: 0,
  offset: BigInt(id),
  key: String(id),
  rawKey: Buffer.from(String(id)),
  value,
  headers: [['x-tenant', 'blue']] as const,
  timestampMs: id,
})

const scope = createScope(new AbortController().signal)
const run = createAsynchronous({
  runner,
  journal,
  turns: createTurns(1_000),
  log: silentLogger,
  count: () => undefined,
})

function feedEngine(id: number, done: () => void): void {
  void run(held, recordOf(id, 'seldon.default.pipeline.p.inputs'), scope).then(done)
}

const line = new ModelLine({ models, maxConcurrent: 1_000, maxWaitMs: 1_000, onRetry: () => undefined, nowMs })

function feedModelGateway(id: number, done: () => void): void {
  const record = recordOf(id, 'seldon.default.model.a.inputs')
  const asked = readAsked(record)
  line.add({
    call: { model: 'a', request: asked.request, headers: [], timeoutMs: 1_000 },
    onEnd: async (end) => {
      if (end.kind === 'failed') throw new Error(end.failure.message)
      await journal.record(outputRecord(record, 'a', asked, end.response, end.routes))
      done()
    },
  })
}

/** What a step was asked is answered as a model gateway does. */
const answer = GRPCInferenceService.service.ModelInfer.responseSerialize(
  toGrpcResponse(answerOf(parseRestRequest(BODY).inputs), 'raw'),
)
const overTopics: Journal = {
  ...journal,
  partitions: 1,
  status: () => ({ kind: 'none' }),
  record: ({ topic, key, headers }) =>
    new Promise((resolve) => {
      setImmediate(() => {
        resolve()
        if (topic.kind !== 'model' || topic.side === 'outputs') return
        const record = { ...recordOf(0, ''), key: String(key), headers, value: answer }
        requests.onStepRecord({ kind: 'model', name: topic.name, side: 'outputs' }, record, () => undefined)
      })
    }),
}
const heldOverTopics = heldPlan('p', { ...SPEC, dataflow: { execution: 'topics' } })
const requests = new TopicsRequests(
  'p',
  {
    runner: createTopicsRunner({ journal: overTopics, maxBytes: 1e9, log: silentLogger, nowMs }),
    journal: overTopics,
    turns: createTurns(1_000),
    ended: createEndedKeys(100),
    plan: () => heldOverTopics,
    count: () => undefined,
    signal: new AbortController().signal,
    log: silentLogger,
    nowMs,
    wallMs: Date.now,
  },
  () => undefined,
)

function feedEngineOverTopics(id: number, done: () => void): void {
  requests.onInput(heldOverTopics, recordOf(id, 'seldon.default.pipeline.p.inputs'), done, false)
}

const PATHS = {
  gateway: callGateway,
  engine: feedEngine,
  'engine over topics': feedEngineOverTopics,
  'model gateway': feedModelGateway,
}
type Path = (id: number, done: () => void) => void

/** So many requests, some at a time. */
const drive = (path: Path, requests: number): Promise<void> =>
  new Promise((resolve) => {
    let begun = 0
    let ended = 0
    const next = (): void => {
      if (begun < requests) path((begun += 1), over)
    }
    const over = (): void => {
      if ((ended += 1) === requests) resolve()
      else next()
    }
    for (let one = 0; one < AT_ONCE; one += 1) next()
  })

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0

const left: Record<string, number> = {}
for (const [name, path] of Object.entries(PATHS)) {
  await drive(path, WARM_UP)
  globalThis.gc?.()
  const before = oldBytes()
  await drive(path, REQUESTS)
  left[name] = Math.round((oldBytes() - before) / REQUESTS)
}
process.stdout.write(`${JSON.stringify(left)}\n`, () => process.exit())
