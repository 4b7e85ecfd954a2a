/** What requests left in Kafka, in a form in which two of them can be compared: without what is of one request only. */
import { decodeElements } from '../../api/oip/elements.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import { decodeRequest, decodeResponse, headerOf } from '../../dataflow/journal/decode.ts'
import { ERRORS_HEADER, REQUEST_ID_HEADER, VERSION_HEADER } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord } from '../../dataflow/kafka/client.ts'

/** What runners say to each other, and how long a request may take. */
const NOT_COMPARED = /^(?:x-millrace-.*|x-request-timeout-ms)$/

/** By request id, each record as a line, sorted. */
export function recordedBy(records: readonly IncomingRecord[]): ReadonlyMap<string, readonly string[]> {
  const lines = new Map<string, string[]>()
  for (const record of records) {
    const id = headerOf(record.headers, REQUEST_ID_HEADER)
    if (id === undefined) continue
    const some = lines.get(id) ?? []
    some.push(lineOf(record, id))
    lines.set(id, some)
  }
  return new Map([...lines].map(([id, some]) => [id, some.toSorted()]))
}

function lineOf({ topic, key, headers, value }: IncomingRecord, id: string): string {
  const kept = headers
    .filter(([name]) => !NOT_COMPARED.test(name) && name !== REQUEST_ID_HEADER && name !== VERSION_HEADER)
    .map(([name, text]) => `${name}=${text}`)
    .toSorted()
  return [topic, key.replaceAll(id, '<id>'), kept.join('&'), contentOf({ topic, headers, value })].join(' | ')
}

function contentOf({ topic, headers, value }: Pick<IncomingRecord, 'topic' | 'headers' | 'value'>): string {
  if (headerOf(headers, ERRORS_HEADER) !== undefined) return value.toString()
  if (topic.endsWith('.inputs')) return shown(decodeRequest({ headers, value }).inputs)
  return shown(decodeResponse(value).outputs)
}

const shown = (tensors: readonly Tensor[]): string =>
  tensors
    .map((tensor) => `${tensor.name} ${tensor.datatype} [${tensor.shape.join()}] ${[...decodeElements(tensor)].join()}`)
    .join('; ')
