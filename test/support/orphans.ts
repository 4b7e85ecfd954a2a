/**
 * Requests of a pipeline gateway that died: their records, written straight to the inputs of a pipeline under the mark of somebody
 * who never was there, and how long it takes until each has its end on the outputs.
 */
import { randomUUID } from 'node:crypto'
import { encodeElements } from '../../api/oip/elements.ts'
import type { InferenceRequest } from '../../api/oip/inference.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { toOutgoing } from '../../dataflow/journal/encode.ts'
import { journalHeaders, readFailure } from '../../dataflow/journal/journal-headers.ts'
import { checkedSpace, compositeKey, GATEWAY_HEADER, type TopicEnd, topicName } from '../../dataflow/journal/topics.ts'
import type { KafkaClient } from '../../dataflow/kafka/client.ts'

const SPACE = checkedSpace({ prefix: '', namespace: '' })
const FETCH = { maxWaitMs: 500, maxBytes: 32 * 1024 * 1024 }
const AT_ONCE = 1_000
const SEND_MS = 30_000

export interface Orphaned {
  readonly pipeline: string
  readonly count: number
  readonly request: InferenceRequest
  readonly deadlineMs: number
}

export interface OrphansEnded {
  /** From the acknowledgement of the last of them to the last end. */
  readonly seconds: number
  /** Errors that say that the gateway is gone. */
  readonly lost: number
  /** Results and other errors. */
  readonly others: number
  readonly twice: number
}

/** One tensor `INPUT` of one number. */
export const numberRequest = (input: number): InferenceRequest => ({
  id: '',
  parameters: NO_PARAMETERS,
  inputs: [
    {
      name: 'INPUT',
      datatype: 'FP32',
      shape: [1],
      bytes: encodeElements('INPUT', 'FP32', [input]),
      parameters: NO_PARAMETERS,
    },
  ],
  outputs: [],
})

/** Of a pipeline that an engine reads. Throws when they have not all ended by the deadline. */
export async function recoverOrphans(kafka: KafkaClient, orphaned: Orphaned): Promise<OrphansEnded> {
  const { pipeline, count, deadlineMs } = orphaned
  const [producer, reader] = [kafka.producer(), kafka.reader()]
  const end = (side: 'inputs' | 'outputs'): TopicEnd => ({ kind: 'pipeline', name: pipeline, side })
  try {
    let positions = await reader.positions([topicName(SPACE, end('outputs'))], 'latest')
    const gateway = `gone/${randomUUID()}`
    const open = new Set<string>()
    while (open.size < count) {
      const ids = Array.from({ length: Math.min(AT_ONCE, count - open.size) }, () => randomUUID())
      const records = ids.map((requestId) =>
        toOutgoing(
          topicName(SPACE, end('inputs')),
          {
            topic: end('inputs'),
            key: compositeKey(0, pipeline, requestId),
            partition: 0,
            headers: [
              ...journalHeaders({ pipeline, version: 1, requestId, callerHeaders: [] }),
              [GATEWAY_HEADER, gateway],
            ],
            message: { kind: 'request', request: orphaned.request },
            onFailure: 'fail-closed',
          },
          Date.now(),
        ),
      )
      for (const result of await producer.send(records, { compression: 'none', timeoutMs: SEND_MS }))
        if (result.kind !== 'acknowledged') throw new Error(`an orphan was not taken: ${JSON.stringify(result)}`)
      for (const id of ids) open.add(compositeKey(0, pipeline, id))
    }
    const writtenMs = performance.now()
    const ended = new Set<string>()
    let [lost, others, twice] = [0, 0, 0]
    while (open.size > 0) {
      if (performance.now() - writtenMs > deadlineMs)
        throw new Error(`${String(open.size)} of ${String(count)} orphans have no end after ${String(deadlineMs)} ms`)
      const { records, next } = await reader.fetch(positions, FETCH)
      for (const record of records) {
        if (ended.has(record.key)) twice += 1
        if (!open.delete(record.key)) continue
        ended.add(record.key)
        if (readFailure(record)?.code === 'GATEWAY_LOST') lost += 1
        else others += 1
      }
      positions = next
    }
    return { seconds: (performance.now() - writtenMs) / 1_000, lost, others, twice }
  } finally {
    await Promise.all([producer.close(), reader.close()])
  }
}
