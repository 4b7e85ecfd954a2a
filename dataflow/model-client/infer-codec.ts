/**
 * ModelInfer's messages as bytes, written and read directly where they have the usual shape: raw contents, no parameters. That
 * takes a fifth of the general codec's time, and a pipeline does it several times for each request. Whatever is not usual goes
 * the general way. Tensors' bytes are passed by reference, in both directions.
 */
import { GRPCInferenceService } from '../../api/grpc.ts'
import { isDatatype } from '../../api/oip/datatype.ts'
import { fromGrpcResponse, toGrpcRequest, toGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { isEmpty, NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { checkedTensor, type Tensor } from '../../api/oip/tensor.ts'
import { putAscii } from '../../kit/ascii.ts'

const { ModelInfer } = GRPCInferenceService.service

/** Below this, copying costs less than sending parts. */
const COPIED_BYTES = 32 * 1024
/** A shape of this many dimensions, and longer names, go the general way. */
const MAX_HEAD_BYTES = 4_096

/** The message in parts, to be sent one after the other. */
export function encodeInferRequest(request: InferenceRequest, model: string): readonly Uint8Array[] {
  const { id, inputs, outputs, parameters } = request
  const usual =
    outputs.length === 0 && isEmpty(parameters) ? encodeUsual({ model, version: '', id }, inputs, RAW_INPUT) : undefined
  return usual ?? [ModelInfer.requestSerialize(toGrpcRequest(request, model, 'raw'))]
}

/** Likewise. */
export function encodeInferResponse(response: InferenceResponse): readonly Uint8Array[] {
  const { modelName: model, modelVersion: version, id, outputs, parameters } = response
  const usual = isEmpty(parameters) ? encodeUsual({ model, version, id }, outputs, RAW_OUTPUT) : undefined
  return usual ?? [ModelInfer.responseSerialize(toGrpcResponse(response, 'raw'))]
}

const FIELD = (number: number): number => number * 8 + 2
const NAME = FIELD(1)
const DATATYPE = FIELD(2)
const VERSION = FIELD(2)
const ID = FIELD(3)
const SHAPE = FIELD(3)
/** Inputs of a request, outputs of a response. */
const TENSORS = FIELD(5)
const RAW_INPUT = FIELD(7)
const RAW_OUTPUT = FIELD(6)

/** Heads are put together here, then copied out. */
const scratch = Buffer.allocUnsafe(2 * MAX_HEAD_BYTES)
let at = 0

function putVarint(value: number): void {
  let left = value
  while (left > 0x7f) {
    scratch[at++] = (left % 128) | 0x80
    left = Math.floor(left / 128)
  }
  scratch[at++] = left
}

/** A field whose length takes one byte: at most 127 bytes of UTF-8. */
function putText(tag: number, text: string): void {
  const start = at + 2
  const length = putAscii(scratch, text, start) ? text.length : scratch.write(text, start, 'utf8')
  scratch[at] = tag
  scratch[at + 1] = length
  at = start + length
}

const isShort = (text: string): boolean => text.length <= 42 // of UTF-8 at most 126 bytes

interface Names {
  readonly model: string
  readonly version: string
  readonly id: string
}

function encodeUsual(
  { model, version, id }: Names,
  tensors: readonly Tensor[],
  raw: number,
): readonly Uint8Array[] | undefined {
  if (tensors.length === 0 || tensors.length > 20) return undefined
  if (!(isShort(model) || Buffer.byteLength(model) <= 127) || !isShort(version) || !isShort(id)) return undefined
  for (const { name, shape, parameters } of tensors)
    if (!isShort(name) || shape.length > 8 || !isEmpty(parameters)) return undefined
  at = 0
  if (model !== '') putText(NAME, model)
  if (version !== '') putText(VERSION, version)
  if (id !== '') putText(ID, id)
  for (const { name, datatype, shape } of tensors) {
    const head = at
    at += 3 // the tag and a length of two bytes
    putText(NAME, name)
    putText(DATATYPE, datatype)
    const shapeAt = at
    at += 2
    for (const dimension of shape) putVarint(dimension)
    scratch[shapeAt] = SHAPE
    scratch[shapeAt + 1] = at - shapeAt - 2
    const length = at - head - 3
    scratch[head] = TENSORS
    scratch[head + 1] = (length & 0x7f) | 0x80
    scratch[head + 2] = length >> 7
  }
  let total = at
  for (const { bytes } of tensors) total += bytes.byteLength + 11
  return total <= COPIED_BYTES ? [copied(tensors, raw, total)] : referred(tensors, raw)
}

function copied(tensors: readonly Tensor[], raw: number, total: number): Uint8Array {
  const message = Buffer.allocUnsafe(total)
  let length = scratch.copy(message, 0, 0, at)
  for (const { bytes } of tensors) {
    at = 0
    scratch[at++] = raw
    putVarint(bytes.byteLength)
    length += scratch.copy(message, length, 0, at)
    message.set(bytes, length)
    length += bytes.byteLength
  }
  return message.subarray(0, length)
}

function referred(tensors: readonly Tensor[], raw: number): readonly Uint8Array[] {
  const parts: Uint8Array[] = []
  for (const { bytes } of tensors) {
    scratch[at++] = raw
    putVarint(bytes.byteLength)
    parts.push(Buffer.from(scratch.subarray(0, at)), bytes)
    at = 0
  }
  return parts
}

/** @throws ServingError TENSOR_INVALID naming the tensor; Error for bytes that are no such message */
export function decodeInferResponse(message: Buffer): InferenceResponse {
  return decodeUsual(message) ?? fromGrpcResponse(ModelInfer.responseDeserialize(message))
}

/** Reads a varint below 2^49 at `cursor.at`; NaN for a longer one. */
function takeVarint(bytes: Buffer, cursor: { at: number }): number {
  let value = 0
  for (let factor = 1; factor < 2 ** 49; factor *= 128) {
    const byte = bytes[cursor.at++]
    if (byte === undefined) return Number.NaN
    value += (byte & 0x7f) * factor
    if (byte < 0x80) return value
  }
  return Number.NaN
}

/** Models name their tensors alike: the text that was read last is usually read again, and then nothing is made for it. */
class LastText {
  #last = ''

  read(bytes: Buffer, from: number, to: number): string {
    if (this.#isLast(bytes, from, to)) return this.#last
    const text = bytes.toString('utf8', from, to)
    if (to - from <= MAX_LAST_BYTES) this.#last = text
    return text
  }

  /** Of ASCII alone, in which a byte is a character. */
  #isLast(bytes: Buffer, from: number, to: number): boolean {
    if (to - from !== this.#last.length) return false
    for (let index = from; index < to; index++) {
      const byte = bytes[index] ?? 0
      if (byte > 0x7f || byte !== this.#last.charCodeAt(index - from)) return false
    }
    return true
  }
}

const MAX_LAST_BYTES = 128

const lastName = new LastText()
const lastDatatype = new LastText()

interface Head {
  readonly name: string
  readonly datatype: string
  readonly shape: readonly number[]
}

/** Undefined: not usual, or broken. */
function decodeUsual(bytes: Buffer): InferenceResponse | undefined {
  const cursor = { at: 0 }
  const texts = ['', '', '']
  const heads: Head[] = []
  const raw: Buffer[] = []
  while (cursor.at < bytes.length) {
    const tag = takeVarint(bytes, cursor)
    const end = takeVarint(bytes, cursor) + cursor.at
    if (!(end <= bytes.length)) return undefined
    if (tag === NAME || tag === DATATYPE || tag === ID) texts[(tag - NAME) / 8] = bytes.toString('utf8', cursor.at, end)
    else if (tag === TENSORS) {
      const head = decodeHead(bytes, cursor, end)
      if (head === undefined) return undefined
      heads.push(head)
    } else if (tag === RAW_OUTPUT) raw.push(bytes.subarray(cursor.at, end))
    else return undefined
    cursor.at = end
  }
  if (raw.length !== heads.length) return undefined
  const outputs: Tensor[] = []
  for (const [index, { name, datatype, shape }] of heads.entries()) {
    const contents = raw[index]
    if (name === '' || contents === undefined || !isDatatype(datatype)) return undefined
    outputs.push(checkedTensor({ name, datatype, shape, parameters: NO_PARAMETERS, bytes: contents }))
  }
  const [modelName = '', modelVersion = '', id = ''] = texts
  return { modelName, modelVersion, id, parameters: NO_PARAMETERS, outputs }
}

function decodeHead(bytes: Buffer, cursor: { at: number }, end: number): Head | undefined {
  let name = ''
  let datatype = ''
  const shape: number[] = []
  while (cursor.at < end) {
    const tag = takeVarint(bytes, cursor)
    const fieldEnd = takeVarint(bytes, cursor) + cursor.at
    if (!(fieldEnd <= end)) return undefined
    if (tag === NAME) name = lastName.read(bytes, cursor.at, fieldEnd)
    else if (tag === DATATYPE) datatype = lastDatatype.read(bytes, cursor.at, fieldEnd)
    else if (tag === SHAPE) {
      while (cursor.at < fieldEnd) shape.push(takeVarint(bytes, cursor))
      if (cursor.at !== fieldEnd || shape.some(Number.isNaN)) return undefined
    } else return undefined
    cursor.at = fieldEnd
  }
  return { name, datatype, shape }
}
