/**
 * A program that feeds inputs and reads results in Kafka, with our own client: what goes in through a journal comes out through a
 * consumer. Where both ends are the same topic, the way is one hop: produced and consumed, with nobody between.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import { startConsumer } from '../../dataflow/consumer/consumer.ts'
import { headerOf } from '../../dataflow/journal/decode.ts'
import { createKafkaJournal } from '../../dataflow/journal/kafka-journal.ts'
import {
  compositeKey,
  ERRORS_HEADER,
  type TopicEnd,
  topicName,
  type TopicSpace,
} from '../../dataflow/journal/topics.ts'
import { connectKafka } from '../../dataflow/kafka/connect.ts'
import { parseConnection } from '../../dataflow/kafka/connection.ts'
import { ServingError } from '../../kit/errors.ts'
import { silentLogger } from '../../kit/log.ts'
import { percentile } from '../support/statistics.ts'

export interface Way {
  readonly from: TopicEnd
  readonly to: TopicEnd
}

export interface StreamLoad {
  readonly records: number
  readonly seconds: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

export interface StreamClient {
  /** Resolves when records that come there would be seen. */
  watch(ends: readonly TopicEnd[]): Promise<void>
  /** One record; milliseconds until its result. @throws ServingError */
  send(way: Way): Promise<number>
  /** So many records on their way all the time, until it is time to end; each is timed from handing it over to its result. @throws ServingError */
  load(
    way: Way,
    options: { readonly underWay: number; readonly until: (nowMs: number) => boolean },
  ): Promise<StreamLoad>
  close(): Promise<void>
}

export const through = (kind: 'model' | 'pipeline', name: string): Way => ({
  from: { kind, name, side: 'inputs' },
  to: { kind, name, side: 'outputs' },
})

/** For `load`. */
export const forSeconds = (seconds: number): ((nowMs: number) => boolean) => {
  const untilMs = performance.now() + seconds * 1_000
  return (nowMs) => nowMs >= untilMs
}

const SPACE: TopicSpace = { prefix: 'seldon', namespace: 'default' }
const MIB = 1024 * 1024
const RESULT_MS = 30_000
const REQUEST: InferenceRequest = {
  id: '',
  parameters: {},
  inputs: [
    {
      name: 'predict',
      datatype: 'FP32',
      shape: [1, 4],
      bytes: new Uint8Array(Float32Array.of(5.1, 3.5, 1.4, 0.2).buffer),
      parameters: {},
    },
  ],
  outputs: [],
}

interface Expected {
  readonly resolve: () => void
  readonly reject: (error: ServingError) => void
}

/** Its files are in `folder`. */
export function startStreamClient(bootstrapServers: string, folder: string): StreamClient {
  const kafka = connectKafka(parseConnection('bench', { 'bootstrap.servers': bootstrapServers }), 'bench')
  const expected = new Map<string, Expected>()
  const journal = createKafkaJournal(
    {
      space: SPACE,
      partitions: 1,
      replicationFactor: 1,
      maxRecordBytes: MIB,
      maxWaitingBytes: 64 * MIB,
      lingerMs: 0,
      batchBytes: MIB,
      batchRecords: 1_000,
      deliveryTimeoutMs: 15_000,
      compression: 'lz4',
      spillFile: join(folder, 'stream-client-spill'),
      maxSpillBytes: 0,
    },
    { kafka, registry: new Registry(), log: silentLogger, now: Date.now },
  )
  const consumer = startConsumer(
    {
      from: { kind: 'latest' },
      maxInFlight: 1_000,
      maxInFlightBytes: 16 * MIB,
      maxHeldBytes: 64 * MIB,
      commitEveryMs: 1_000,
    },
    {
      kafka,
      onRecord: ({ key, headers, value }, done) => {
        const one = expected.get(key)
        expected.delete(key)
        if (headerOf(headers, ERRORS_HEADER) === undefined) one?.resolve()
        else one?.reject(new ServingError('PEER_FAILED', `an error came for a result: ${value.toString()}`))
        done()
      },
      registry: new Registry(),
      log: silentLogger,
      nowMs: () => performance.now(),
    },
  )

  /** Milliseconds. */
  const send = async ({ from, to }: Way): Promise<number> => {
    const key = compositeKey(0, from.kind === 'errors' ? '' : from.name, randomUUID())
    const came = new Promise<void>((resolve, reject) => expected.set(key, { resolve, reject }))
    const sentMs = performance.now()
    await Promise.all([
      journal.record({
        topic: from,
        key,
        partition: 0,
        headers: [],
        message: { kind: 'request', request: REQUEST },
        onFailure: 'fail-closed',
      }),
      within(came, `no result on ${topicName(SPACE, to)}`),
    ])
    return performance.now() - sentMs
  }

  return {
    watch: async (ends) => {
      await journal.ensureTopics(ends)
      await Promise.all(ends.map((end) => consumer.assign(topicName(SPACE, end))))
    },
    send,
    load: async (way, { underWay, until }) => {
      const startedMs = performance.now()
      const took: number[] = []
      const one = async (): Promise<void> => {
        while (!until(performance.now())) took.push(await send(way))
      }
      await Promise.all(Array.from({ length: underWay }, one))
      return {
        records: took.length,
        seconds: (performance.now() - startedMs) / 1_000,
        p50Ms: percentile(took, 0.5),
        p99Ms: percentile(took, 0.99),
        maxMs: Math.max(...took),
      }
    },
    close: async () => {
      await consumer.stop(0)
      await journal.close()
    },
  }
}

async function within<T>(work: Promise<T>, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new ServingError('PEER_FAILED', `${otherwise} within ${String(RESULT_MS)} ms`))
    }, RESULT_MS)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
