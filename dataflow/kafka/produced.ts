/** What brokers answer to Produce, version 9. Pure. */
import { produceV9, type Reader } from '@platformatic/kafka'
import { eachError, isRecordWith } from './failures.ts'

/** Of one partition. */
export interface ProducedAnswer {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** The usual answer is read directly: every partition acknowledged. Any other one, and what is none, the library reads. */
export function readProduced(
  correlationId: number,
  apiKey: number,
  apiVersion: number,
  reader: Reader,
): readonly ProducedAnswer[] {
  return readUsual(reader.buffer.buffer) ?? answersOf(readAny(correlationId, apiKey, apiVersion, reader))
}

/** Longest name, and most of anything, for which one byte tells the length. */
const MAX_SHORT = 0x7f
/** Between the error's code and the errors of single records: offset, time and where the log begins. */
const SKIPPED_BYTES = 24

/** Undefined: it is not usual, or broken. Each length is one more than it is, so that 0 can be "none". */
function readUsual(bytes: Buffer): readonly ProducedAnswer[] | undefined {
  const answers: ProducedAnswer[] = []
  let at = 0
  const topics = bytes[at++] ?? 0
  if (topics === 0 || topics > MAX_SHORT) return undefined
  for (let left = topics; left > 1; left--) {
    const length = bytes[at++] ?? 0
    if (length > MAX_SHORT || at + length > bytes.byteLength) return undefined
    const topic = bytes.toString('latin1', at, at + length - 1)
    at += length - 1
    const partitions = bytes[at++] ?? 0
    if (length === 0 || partitions === 0 || partitions > MAX_SHORT) return undefined
    for (let more = partitions; more > 1; more--) {
      if (at + 4 + 2 + SKIPPED_BYTES + 3 > bytes.byteLength) return undefined
      const partition = bytes.readInt32BE(at)
      const errorCode = bytes.readInt16BE(at + 4)
      at += 4 + 2 + SKIPPED_BYTES
      const [recordErrors = 0, message, fields] = [bytes[at], bytes[at + 1], bytes[at + 2]]
      if (errorCode !== 0 || recordErrors > 1 || message !== 0 || fields !== 0) return undefined
      at += 3
      answers.push({ topic, partition, errorCode, errorMessage: null })
    }
    if (bytes[at++] !== 0) return undefined
  }
  return answers
}

/** The library throws an answer in which one part failed: the others count all the same. */
function readAny(...given: Parameters<typeof produceV9.parseResponse>): produceV9.ProduceResponse {
  try {
    return produceV9.parseResponse(...given)
  } catch (error) {
    for (const { response } of eachError(error)) if (isProduced(response)) return response
    throw error
  }
}

const isProduced = (value: unknown): value is produceV9.ProduceResponse => isRecordWith(value, 'responses')

const answersOf = ({ responses }: produceV9.ProduceResponse): readonly ProducedAnswer[] =>
  responses.flatMap(({ name: topic, partitionResponses }) =>
    partitionResponses.map(({ index: partition, errorCode, errorMessage }) => ({
      topic,
      partition,
      errorCode,
      errorMessage: errorMessage ?? null,
    })),
  )
