/** Journals on a real Kafka, records for them, and a load that counts what was acknowledged. */
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Registry } from 'prom-client'
import type { Tensor } from '../../api/oip/tensor.ts'
import type { Journal, JournalRecord } from '../../dataflow/journal/journal.ts'
import { journalHeaders } from '../../dataflow/journal/journal-headers.ts'
import { createKafkaJournal, type KafkaJournalOptions } from '../../dataflow/journal/kafka-journal.ts'
import { compositeKey, type TopicEnd, type TopicSpace } from '../../dataflow/journal/topics.ts'
import type { KafkaClient } from '../../dataflow/kafka/client.ts'
import { silentLogger } from '../../kit/log.ts'

export const MIB = 1024 * 1024
export const INPUTS: TopicEnd = { kind: 'pipeline', name: 'p', side: 'inputs' }
export const OUTPUTS: TopicEnd = { kind: 'pipeline', name: 'p', side: 'outputs' }

const STANDARD: Omit<KafkaJournalOptions, 'space' | 'spillFile'> = {
  partitions: 2,
  replicationFactor: 0,
  maxRecordBytes: 20 * MIB,
  maxWaitingBytes: 64 * MIB,
  lingerMs: 5,
  batchBytes: MIB,
  batchRecords: 1_000,
  deliveryTimeoutMs: 3_000,
  compression: 'lz4',
  maxSpillBytes: 8 * MIB,
}
const REFUSED_PAUSE_MS = 20

export interface OpenedJournal {
  readonly journal: Journal
  readonly space: TopicSpace
  readonly spillFile: string
  /** Of one of its metrics, `lost_total` for instance. */
  readonly metric: (name: string) => Promise<number>
  /** Name of a topic of the pipeline `p`. */
  readonly topicOf: (side: 'inputs' | 'outputs') => string
}

export interface JournalScene {
  /** A journal of a namespace of its own unless `space` says another; topics are not made. */
  readonly open: (options?: Partial<KafkaJournalOptions>) => OpenedJournal
  /** Closes all that are open. */
  readonly closeAll: () => Promise<void>
  /** Removes the spill files. */
  readonly remove: () => void
}

export function createJournalScene(kafka: () => KafkaClient): JournalScene {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-journal-'))
  const opened: Journal[] = []
  return {
    open: (options = {}) => {
      const registry = new Registry()
      const space = options.space ?? { prefix: 'seldon', namespace: randomUUID() }
      const spillFile = options.spillFile ?? join(folder, randomUUID())
      const journal = createKafkaJournal(
        { ...STANDARD, ...options, space, spillFile },
        { kafka: kafka(), registry, log: silentLogger, now: Date.now },
      )
      opened.push(journal)
      const metric = async (name: string): Promise<number> => {
        const metrics = await registry.getMetricsAsJSON()
        return Number(metrics.find((one) => one.name === `millrace_journal_${name}`)?.values[0]?.value)
      }
      const topicOf = (side: 'inputs' | 'outputs') => `seldon.${space.namespace}.pipeline.p.${side}`
      return { journal, space, spillFile, metric, topicOf }
    },
    closeAll: async () => {
      for (const journal of opened.splice(0)) await journal.close()
    },
    remove: () => {
      rmSync(folder, { recursive: true })
    },
  }
}

export const bytesTensor = (bytes: Uint8Array): Tensor => ({
  name: 'x',
  datatype: 'UINT8',
  shape: [bytes.byteLength],
  bytes,
  parameters: {},
})

/** What the pipeline `p` was asked. */
export function inputRecord(
  requestId: string,
  more: Partial<JournalRecord> = {},
  bytes: Uint8Array = Buffer.from([1, 2]),
) {
  const partition = requestId.length % 2
  return {
    topic: INPUTS,
    key: compositeKey(partition, 'p', requestId),
    partition,
    headers: journalHeaders({ pipeline: 'p', version: 3, requestId, callerHeaders: [['X-Foo', 'bar']] }),
    message: { kind: 'request', request: { id: requestId, parameters: {}, inputs: [bytesTensor(bytes)], outputs: [] } },
    onFailure: 'fail-closed',
    ...more,
  } satisfies JournalRecord
}

export interface JournalLoad {
  /** Keys of inputs that were acknowledged; each was followed by an output in the background. */
  readonly acknowledged: ReadonlySet<string>
  readonly refused: ReadonlySet<string>
  /** Resolves when everything that was recorded is settled; rejects when an output was lost. */
  readonly end: () => Promise<void>
}

/** Eight callers, each with one input at a time. */
export function startJournalLoad(journal: Journal): JournalLoad {
  const acknowledged = new Set<string>()
  const refused = new Set<string>()
  const background: Promise<void>[] = []
  let isLoading = true
  const call = async (caller: number): Promise<void> => {
    for (let index = 0; isLoading; index++) {
      const record = inputRecord(`${String(caller)}-${String(index)}`)
      try {
        await journal.record(record)
        acknowledged.add(String(record.key))
        background.push(journal.record({ ...record, topic: OUTPUTS, awaited: false }))
      } catch {
        refused.add(String(record.key))
        await new Promise((done) => setTimeout(done, REFUSED_PAUSE_MS)) // as a client would
      }
    }
  }
  const callers = Array.from({ length: 8 }, (_, caller) => call(caller))
  return {
    acknowledged,
    refused,
    end: async () => {
      isLoading = false
      await Promise.all(callers)
      await Promise.all(background)
    },
  }
}
