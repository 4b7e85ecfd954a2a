/** What a record of the journal holds, as bytes: protobuf of the Open Inference Protocol with raw contents, or text. Pure. */
import type { Tensor } from '../../api/oip/tensor.ts'
import type { OutgoingRecord } from '../kafka/client.ts'
import { encodeInferRequest, encodeInferResponse } from '../model-client/infer-codec.ts'
import type { JournalMessage, JournalRecord } from './journal.ts'

/** What a record takes beside its tensors and texts, about. */
const OVERHEAD_BYTES = 256

/** `topic`: the name of the record's. */
export function toOutgoing(topic: string, record: JournalRecord, timestampMs: number): OutgoingRecord {
  const { topic: end, partition, key, headers, message } = record
  const value = toValue(message, end.kind === 'errors' ? '' : end.name)
  return { topic, partition, key, headers, value, timestampMs }
}

function toValue(message: JournalMessage, name: string): Uint8Array {
  switch (message.kind) {
    case 'request':
      return joined(encodeInferRequest(message.request, name))
    case 'response':
      return joined(encodeInferResponse(message.response))
    case 'error':
      return Buffer.from(message.text, 'utf8')
    case 'encoded':
      return message.bytes
  }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts)
}

/** About what a record takes in memory and on its way, without encoding it. */
export function estimatedBytes({ key, headers, message }: JournalRecord): number {
  let bytes = OVERHEAD_BYTES + (key === null ? 0 : key.length) + messageBytes(message)
  for (const header of headers) bytes += header[0].length + header[1].length
  return bytes
}

function messageBytes(message: JournalMessage): number {
  switch (message.kind) {
    case 'request':
      return tensorBytes(message.request.inputs)
    case 'response':
      return tensorBytes(message.response.outputs)
    case 'error':
      return Buffer.byteLength(message.text)
    case 'encoded':
      return message.bytes.byteLength
  }
}

function tensorBytes(tensors: readonly Tensor[]): number {
  let bytes = 0
  for (const tensor of tensors) bytes += tensor.bytes.byteLength + tensor.name.length + 64
  return bytes
}
