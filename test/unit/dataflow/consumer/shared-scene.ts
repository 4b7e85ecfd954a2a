/** A topic in memory with one partition, a consumer that reads it for all, and the reader of those who are behind. */
import { Registry } from 'prom-client'
import { createSharedReading, type SharedReadingOptions } from '../../../../dataflow/consumer/shared-reading.ts'
import type { OnRecord, SharedReading } from '../../../../dataflow/consumer/types.ts'
import type { IncomingRecord, KafkaReader, Position } from '../../../../dataflow/kafka/client.ts'
import { ServingError } from '../../../../kit/errors.ts'
import { silentLogger } from '../../../../kit/log.ts'
import { createWaiters } from '../../../support/waiters.ts'

export const TOPIC = 'seldon.default.model.iris.outputs'
const OPTIONS = { maxInFlight: 4, maxInFlightBytes: 1_000_000, maxHeldBytes: 10_000_000, commitEveryMs: 1 }

export interface Taken {
  readonly record: IncomingRecord
  readonly done: () => void
}

/** What outlives a reading: the topic and the commits. */
export function aTopic() {
  let records: IncomingRecord[] = []
  let first = 0
  const commits = new Map<string, bigint>()
  const waiters = createWaiters()
  let failure: Error | undefined
  const put = (pipeline: string): IncomingRecord => {
    const record: IncomingRecord = {
      topic: TOPIC,
      partition: 0,
      offset: BigInt(records.length),
      key: String(records.length),
      rawKey: null,
      value: Buffer.from('value'),
      headers: [['pipeline', pipeline]],
      timestampMs: 0,
    }
    records.push(record)
    return record
  }
  const at = (offset: number): readonly Position[] => [{ topic: TOPIC, partition: 0, offset: BigInt(offset) }]
  const reader: KafkaReader = {
    positions: (_, where) => Promise.resolve(at(where === 'earliest' ? first : records.length)),
    fetch: ([from]) => {
      const begin = Number(from?.offset ?? 0n)
      if (begin < first || begin > records.length) return Promise.reject(new ServingError('NOT_FOUND', 'out of range'))
      const some = records.slice(begin, begin + 3)
      return Promise.resolve({ records: some, next: at(begin + some.length) })
    },
    commit: (group, [position]) => {
      if (failure !== undefined) return Promise.reject(failure)
      commits.set(group, position?.offset ?? 0n)
      waiters.look()
      return Promise.resolve()
    },
    committed: (group) => {
      const offset = commits.get(group)
      return Promise.resolve(offset === undefined ? [] : at(Number(offset)))
    },
    close: () => Promise.resolve(),
  }
  return {
    put,
    reader,
    commits,
    end: () => records.length,
    /** Kafka has deleted those before it. */
    cut: (to: number) => {
      first = to
    },
    remake: () => {
      records = []
    },
    failCommits: (error: Error | undefined) => {
      failure = error
    },
    untilCommitted: (group: string, offset: number) =>
      waiters.until(`${group} to commit ${String(offset)}`, () => commits.get(group) === BigInt(offset), 5_000),
  }
}

export function aReading(topic: ReturnType<typeof aTopic>, options: Partial<SharedReadingOptions> = {}) {
  let position: number | undefined
  let onRecord: OnRecord = () => undefined
  let records: readonly IncomingRecord[] = []
  const waiters = createWaiters()
  const registry = new Registry()
  const taken = new Map<string, Taken[]>()
  const shared: SharedReading = createSharedReading(
    { ...OPTIONS, ...options },
    {
      consumer: (handle) => {
        onRecord = handle
        return {
          assign: () => {
            position ??= topic.end()
            return Promise.resolve()
          },
          release: () => {
            position = undefined
            return Promise.resolve()
          },
          position: () => (position === undefined ? undefined : BigInt(position)),
          stop: () => Promise.resolve(),
        }
      },
      reader: topic.reader,
      registry,
      log: silentLogger,
    },
  )
  return {
    shared,
    /** Begins to read under its own name. `isDone`: at once. */
    subscribe: (group: string, takes: ReadonlySet<string> | undefined, isDone = true) =>
      shared.subscribe({
        topic: TOPIC,
        group,
        takes,
        onRecord: (record, done) => {
          taken.set(group, [...(taken.get(group) ?? []), { record, done }])
          if (isDone) done()
          waiters.look()
        },
      }),
    taken: (group: string): readonly Taken[] => taken.get(group) ?? [],
    offsets: (group: string): readonly number[] => (taken.get(group) ?? []).map(({ record }) => Number(record.offset)),
    untilTaken: (group: string, count: number) =>
      waiters.until(`${group} to take ${String(count)}`, () => (taken.get(group)?.length ?? 0) >= count, 5_000),
    /** What is read for all goes on by one record. */
    give: (record: IncomingRecord) => {
      position = Number(record.offset) + 1
      let isDone = false
      onRecord(record, () => {
        isDone = true
      })
      records = [...records, record]
      return isDone
    },
    reads: async (way: 'shared' | 'alone'): Promise<number> => {
      const metric = await registry.getSingleMetric('millrace_consumer_shared_records_total')?.get()
      return metric?.values.find(({ labels }) => labels['way'] === way)?.value ?? 0
    },
  }
}
