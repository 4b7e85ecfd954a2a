/**
 * Feeds topics of pipelines and models at a rate, as any program does, and counts what came out: every record has a key and a
 * number of its own, and what is made of the number is known.
 */
import { decodeElements } from '../../api/oip/elements.ts'
import { pause } from '../../kit/backoff.ts'
import { decodeResponse, headerOf } from '../../dataflow/journal/decode.ts'
import { ERRORS_HEADER, REPLAYED_HEADER } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord, KafkaClient } from '../../dataflow/kafka/client.ts'
import { readAll } from './kafka-records.ts'

const EVERY_MS = 10
const SEND_MS = 5_000
/** Of what a broker that comes back is given at once. */
const MAX_BATCH = 500
const INPUT_RANGE = 1_000
/** The key of the user, when the engine gave the request one of its own. */
const KEY_HEADER = 'x-millrace-key'

/** A pipeline or a model that takes one number. */
export interface FedTarget {
  readonly inputs: string
  readonly outputs: string
  readonly makes: (input: number) => number
}

export interface Feed {
  /** Acknowledged so far. */
  readonly acknowledged: () => number
  /** Resolves when nothing more is sent. */
  readonly stop: () => Promise<void>
  readonly count: () => Promise<FedCounts>
}

export interface FedCounts {
  readonly sent: number
  readonly answered: number
  /** Of these keys there is an error, as their result. */
  readonly failed: number
  /** Keys that were acknowledged and have neither. */
  readonly missing: readonly string[]
  /** Texts of wrong results. */
  readonly wrong: readonly string[]
  /** Results beyond the first of their key. */
  readonly twice: number
  /** Of these, those of keys that have fewer marks than such results. */
  readonly unmarked: readonly string[]
}

interface Sent {
  readonly target: FedTarget
  readonly input: number
  isSure: boolean
}

/** The targets take turns. Records whose acknowledgement did not come count only when they are there. */
export function startFeed(
  kafka: KafkaClient,
  targets: readonly FedTarget[],
  ratePerSecond: number,
  prefix: string,
): Feed {
  const producer = kafka.producer()
  const sent = new Map<string, Sent>()
  const stopping = new AbortController()
  let acknowledged = 0

  const sendSome = async (count: number): Promise<void> => {
    const batch = Array.from({ length: count }, () => {
      const index = sent.size
      const target = targets[index % targets.length]
      if (target === undefined) throw new Error('there is nothing to feed')
      const one: Sent = { target, input: index % INPUT_RANGE, isSure: false }
      const key = `${prefix}-${String(index)}`
      sent.set(key, one)
      const inputs = [{ name: 'INPUT', datatype: 'FP32', shape: [1], data: [one.input] }]
      const value = Buffer.from(JSON.stringify({ inputs }))
      return { one, record: { topic: target.inputs, partition: 0, key, value, headers: [] } }
    })
    const results = await producer.send(
      batch.map(({ record }) => record),
      { compression: 'none', timeoutMs: SEND_MS },
    )
    for (const [index, { one }] of batch.entries())
      if (results[index]?.kind === 'acknowledged') {
        one.isSure = true
        acknowledged += 1
      }
  }
  const run = async (): Promise<void> => {
    const beganMs = performance.now()
    while (!stopping.signal.aborted) {
      const due = Math.floor(((performance.now() - beganMs) / 1_000) * ratePerSecond) - sent.size
      if (due > 0) await sendSome(Math.min(due, MAX_BATCH))
      await pause(EVERY_MS, stopping.signal)
    }
    await producer.close()
  }
  const running = run()

  return {
    acknowledged: () => acknowledged,
    stop: async () => {
      stopping.abort()
      await running
    },
    count: async () => {
      const records = new Map<string, IncomingRecord[]>()
      for (const topic of new Set(targets.map(({ outputs }) => outputs)))
        for (const record of await readAll(kafka, topic)) {
          const key = headerOf(record.headers, KEY_HEADER) ?? record.key
          if (sent.get(key)?.target.outputs === topic) records.set(key, [...(records.get(key) ?? []), record])
        }
      return toCounts(sent, records)
    },
  }
}

function toCounts(sent: ReadonlyMap<string, Sent>, records: ReadonlyMap<string, readonly IncomingRecord[]>): FedCounts {
  const missing = [...sent].filter(([key, { isSure }]) => isSure && !records.has(key)).map(([key]) => key)
  const wrong: string[] = []
  const unmarked: string[] = []
  let [twice, failed] = [0, 0]
  for (const [key, some] of records) {
    const one = sent.get(key)
    if (one === undefined) continue
    const marks = some.filter(({ headers }) => headerOf(headers, REPLAYED_HEADER) !== undefined).length
    twice += some.length - 1
    if (marks < some.length - 1) unmarked.push(key)
    const results = some.filter(({ headers }) => headerOf(headers, ERRORS_HEADER) === undefined)
    if (results.length === 0) failed += 1
    for (const { value } of results) {
      const made = numberIn(value)
      if (made !== one.target.makes(one.input)) wrong.push(`${key}: ${String(made)} of ${String(one.input)}`)
    }
  }
  return { sent: sent.size, answered: records.size - failed, failed, missing, wrong, twice, unmarked }
}

/** A model answers JSON with JSON. */
function numberIn(value: Buffer): unknown {
  if (value[0] === '{'.codePointAt(0)) {
    const { outputs } = JSON.parse(value.toString()) as { outputs: { data: number[] }[] }
    return outputs[0]?.data[0]
  }
  const [tensor] = decodeResponse(value).outputs
  return tensor === undefined ? undefined : [...decodeElements(tensor)][0]
}
