/** Records of the journal as people read them: raw contents by their datatype. Pure. */
import { GRPCInferenceService } from '../../api/grpc.ts'
import { decodeElements, type Element } from '../../api/oip/elements.ts'
import { fromGrpcRequest, fromGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { ParameterValue } from '../../api/oip/parameters.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import { ERRORS_HEADER, REQUEST_ID_HEADER, type TopicEnd, VERSION_HEADER } from '../../dataflow/journal/topics.ts'
import type { IncomingRecord } from '../../dataflow/kafka/client.ts'

type Shown = boolean | number | string

export interface ShownTensor {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
  readonly parameters?: Readonly<Record<string, Shown>>
  /** 64-bit integers beyond what JSON's numbers hold, NaN and infinities are texts; BYTES that are no UTF-8 are base64. */
  readonly data: readonly Shown[]
}

export type ShownContent =
  | { readonly tensors: readonly ShownTensor[] }
  | { readonly error: string; readonly failed: string }
  | { readonly undecodable: string; readonly bytes: number }

export interface ShownRecord {
  /** `p.inputs`, `step.outputs`. */
  readonly edge: string
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: string
  readonly time: string
  readonly requestId: string
  readonly version: string
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly content: ShownContent
}

export function toShownRecord(record: IncomingRecord, end: TopicEnd, tensor: string | undefined): ShownRecord {
  const header = (name: string): string => record.headers.find(([known]) => known === name)?.[1] ?? ''
  return {
    edge: end.kind === 'errors' ? 'errors' : `${end.name}.${end.side}`,
    topic: record.topic,
    partition: record.partition,
    offset: String(record.offset),
    key: record.key,
    time: new Date(record.timestampMs).toISOString(),
    requestId: header(REQUEST_ID_HEADER),
    version: header(VERSION_HEADER),
    headers: record.headers,
    content: toContent(record, end, header(ERRORS_HEADER), tensor),
  }
}

const { requestDeserialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer

function toContent({ value }: IncomingRecord, end: TopicEnd, failed: string, tensor: string | undefined): ShownContent {
  if (failed !== '' || end.kind === 'errors') return { error: value.toString('utf8'), failed }
  try {
    const tensors =
      end.side === 'inputs'
        ? fromGrpcRequest(requestDeserialize(value)).inputs
        : fromGrpcResponse(responseDeserialize(value)).outputs
    return { tensors: tensors.filter(({ name }) => tensor === undefined || name === tensor).map(toShownTensor) }
  } catch (error) {
    return { undecodable: error instanceof Error ? error.message : String(error), bytes: value.byteLength }
  }
}

function toShownTensor(tensor: Tensor): ShownTensor {
  const { name, datatype, shape, parameters } = tensor
  const data = decodeElements(tensor).map(toShown)
  const entries = Object.entries(parameters).map(([key, value]) => [key, toShown(value)] as const)
  return { name, datatype, shape, ...(entries.length === 0 ? {} : { parameters: Object.fromEntries(entries) }), data }
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function toShown(value: Element | ParameterValue): Shown {
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value)
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value)
  if (!(value instanceof Uint8Array)) return value
  try {
    return utf8.decode(value)
  } catch {
    return Buffer.from(value).toString('base64') // no text: JSON has nothing else for bytes
  }
}
