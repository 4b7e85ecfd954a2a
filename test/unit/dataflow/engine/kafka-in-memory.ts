/** Topics in memory: what an engine reads of Kafka, and a journal that writes there. */
import { GRPCInferenceService } from '../../../../api/grpc.ts'
import { toGrpcRequest, toGrpcResponse } from '../../../../api/oip/grpc-inference.ts'
import type { InferenceRequest } from '../../../../api/oip/inference.ts'
import type { PipelineSpec } from '../../../../api/resources/pipeline.ts'
import { toOutgoing } from '../../../../dataflow/journal/encode.ts'
import { type Journal, type JournalRecord, nullJournal } from '../../../../dataflow/journal/journal.ts'
import { topicName } from '../../../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaReader, Position, RecordHeaders } from '../../../../dataflow/kafka/client.ts'
import { createHeldPlans, type HeldPlan } from '../../../../dataflow/control/held-plans.ts'
import { compile } from '../../../../dataflow/plan/compile.ts'
import { recordingBy } from '../../../support/recording.ts'

export const SPACE = { prefix: 'seldon', namespace: 'default' }
export const inputs = (pipeline: string): string => `seldon.default.pipeline.${pipeline}.inputs`

export const requestOf = (...names: readonly string[]): InferenceRequest => ({
  id: '',
  parameters: {},
  inputs: names.map((name) => ({
    name,
    datatype: 'UINT8',
    shape: [1],
    bytes: new Uint8Array([1]),
    parameters: {},
  })),
  outputs: [],
})

export const encoded = (request: InferenceRequest): Buffer =>
  GRPCInferenceService.service.ModelInfer.requestSerialize(toGrpcRequest(request, '', 'raw'))

export const encodedResponse = (name: string): Buffer =>
  GRPCInferenceService.service.ModelInfer.responseSerialize(
    toGrpcResponse({ modelName: '', modelVersion: '', id: '', parameters: {}, outputs: requestOf(name).inputs }, 'raw'),
  )

export function heldPlan(name: string, spec: PipelineSpec, version = 1): HeldPlan {
  const plans = createHeldPlans(compile, { storeId: '', plans: [], serving: [] })
  plans.load({ pipeline: name, version, uid: `${name}-${String(version)}`, specJson: JSON.stringify(spec) })
  const held = plans.serving(name)
  if (held === undefined) throw new Error(`the spec of ${name} is wrong`)
  return held
}

export function kafkaInMemory() {
  const topics = new Map<string, IncomingRecord[]>()
  const commits = new Map<string, bigint>()
  let clockMs = 1_000_000
  const recordsOf = (topic: string): IncomingRecord[] => {
    const known = topics.get(topic) ?? []
    topics.set(topic, known)
    return known
  }
  const put = (topic: string, key: string, value: Uint8Array, headers: RecordHeaders = []): IncomingRecord => {
    const records = recordsOf(topic)
    clockMs += 1
    const record = {
      topic,
      partition: 0,
      offset: BigInt(records.length),
      key,
      rawKey: Buffer.from(key),
      value: Buffer.from(value),
      headers,
      timestampMs: clockMs,
    }
    records.push(record)
    return record
  }
  const journal: Journal = {
    ...nullJournal,
    status: () => ({
      kind: 'kafka',
      available: true,
      brokers: 1,
      replicationFactor: 1,
      replicated: false,
      remark: '',
      spilledBytes: 0,
    }),
    ...recordingBy((record: JournalRecord) => {
      const { topic, key, value, headers } = toOutgoing(topicName(SPACE, record.topic), record, 0)
      put(topic, typeof key === 'string' ? key : Buffer.from(key ?? '').toString(), value, headers)
      return Promise.resolve()
    }),
  }
  const reader: KafkaReader = {
    positions: (names, at) => {
      if (typeof at === 'number' && at < 0) return Promise.reject(new RangeError('Kafka knows no time before 0'))
      return Promise.resolve(
        names.map((topic) => {
          const records = recordsOf(topic)
          const found = typeof at === 'number' ? records.findIndex(({ timestampMs }) => timestampMs >= at) : -1
          const end = records.length
          const offset = at === 'earliest' ? 0 : found < 0 ? end : found
          return { topic, partition: 0, offset: BigInt(offset) }
        }),
      )
    },
    fetch: (positions) => {
      const records = positions.flatMap((at: Position) =>
        recordsOf(at.topic).slice(Number(at.offset), Number(at.offset) + 2),
      )
      const next = positions.map((at) => {
        const end = BigInt(recordsOf(at.topic).length)
        return { ...at, offset: at.offset + 2n > end ? end : at.offset + 2n }
      })
      return Promise.resolve({ records, next })
    },
    commit: () => Promise.resolve(),
    committed: (_, names) =>
      Promise.resolve(
        names.flatMap((topic) => {
          const offset = commits.get(topic)
          return offset === undefined ? [] : [{ topic, partition: 0, offset }]
        }),
      ),
    close: () => Promise.resolve(),
  }
  return { put, journal, reader, commits, recordsOf, nowMs: () => clockMs }
}

export const headersOf = (record: IncomingRecord | undefined): Readonly<Record<string, string>> =>
  Object.fromEntries(record?.headers ?? [])
