/**
 * A program that feeds inputs and reads results in Kafka, with our own client: what goes in through a journal comes out through a
 * consumer. Where both ends are the same topic, the way is one hop within a process: produced and consumed, with nobody between.
 */
import { randomUUID } from 'node:crypto'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import { headerOf } from '../../dataflow/journal/decode.ts'
import { compositeKey, ERRORS_HEADER, type TopicEnd, topicName } from '../../dataflow/journal/topics.ts'
import { within } from '../../kit/deadline.ts'
import { ServingError } from '../../kit/errors.ts'
import { percentile } from '../support/statistics.ts'
import { openEnds, SPACE } from './ends.ts'

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

/** Its files are in `folder`; a result that takes longer than `resultMs` is missing. */
export function startStreamClient(bootstrapServers: string, folder: string, resultMs: number): StreamClient {
  const expected = new Map<string, Expected>()
  const { journal, consumer } = openEnds(bootstrapServers, folder, ({ key, headers, value }, done) => {
    const one = expected.get(key)
    expected.delete(key)
    if (headerOf(headers, ERRORS_HEADER) === undefined) one?.resolve()
    else one?.reject(new ServingError('PEER_FAILED', `an error came for a result: ${value.toString()}`))
    done()
  })

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
      within(
        resultMs,
        came,
        () => new ServingError('PEER_FAILED', `no result on ${topicName(SPACE, to)} within ${String(resultMs)} ms`),
      ),
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
        maxMs: took.reduce((most, ms) => Math.max(most, ms), 0),
      }
    },
    close: async () => {
      await consumer.stop(0)
      await journal.close()
    },
  }
}
