/** Tensors of the protocol <-> tensors as JavaScript models like to have them. Pure. */
import type { Datatype } from '../../api/oip/datatype.ts'
import { decodeElements, encodeElements } from '../../api/oip/elements.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { checkedCount, splitBytesElements, elementCount, tensorError } from '../../api/oip/tensor.ts'
import type { DeclaredTensor } from '../model-document.ts'
import type { OwnTensor, WorkerTensor } from './worker-tensor.ts'

/** Whose memory is the elements' own form. BOOL, FP16 and BYTES have no such array. */
const ARRAYS = {
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const

export type ModelData = InstanceType<(typeof ARRAYS)[keyof typeof ARRAYS]> | boolean[] | Buffer[]

/** What `infer` is given for each input, by name. `data` is row-major. */
export interface ModelTensor {
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly data: ModelData
  /**
   * The elements of a BYTES tensor as text.
   * @throws ServingError TENSOR_INVALID for any other tensor, and for bytes that are no UTF-8
   */
  strings(): string[]
}

const textDecoder = new TextDecoder('utf-8', { fatal: true })

/** The tensor's bytes must be aligned, and are shared with the result. */
export function toModelTensor(tensor: WorkerTensor): ModelTensor {
  const { datatype, shape } = tensor
  return { datatype, shape, data: toModelData(tensor), strings: () => toStrings(tensor) }
}

function toModelData(tensor: WorkerTensor): ModelData {
  const { name, datatype, shape, bytes } = tensor
  if (datatype === 'BYTES') return toElements(name, shape, bytes)
  if (datatype === 'BOOL') return Array.from(bytes, (byte) => byte !== 0)
  if (datatype === 'FP16')
    return Float32Array.from(decodeElements({ ...tensor, parameters: NO_PARAMETERS }) as number[])
  const array = ARRAYS[datatype]
  return new array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / array.BYTES_PER_ELEMENT)
}

const toElements = (name: string, shape: readonly number[], bytes: Uint8Array): Buffer[] =>
  splitBytesElements(name, bytes, elementCount(shape)).map((element) =>
    Buffer.from(element.buffer, element.byteOffset, element.byteLength),
  )

function toStrings({ name, datatype, shape, bytes }: WorkerTensor): string[] {
  if (datatype !== 'BYTES') throw tensorError(name, `is ${datatype}: only BYTES have strings()`)
  return toElements(name, shape, bytes).map((element, index) => {
    try {
      return textDecoder.decode(element)
    } catch {
      throw tensorError(name, `element ${String(index)} is not UTF-8`)
    }
  })
}

/**
 * One output of `infer`: `{ data, shape?, datatype? }`, or the data alone. Data is an array or a typed array, row-major; the
 * shape may be left out where the declared one has at most one open dimension.
 * @throws ServingError TENSOR_INVALID naming the tensor
 */
export function fromModelOutput(declared: DeclaredTensor, output: unknown): OwnTensor {
  const { name, datatype } = declared
  const { data, shape: given, datatype: said } = isList(output) ? { data: output } : asFields(name, output)
  if (said !== undefined && said !== datatype)
    throw tensorError(name, `is ${show(said)}, model.json declares ${datatype}`)
  if (!isList(data)) throw tensorError(name, `data is ${show(data)}, must be an array or a typed array`)
  const shape = given === undefined ? impliedShape(declared, data.length) : checkedShape(declared, given)
  const count = checkedCount(name, shape)
  if (data.length !== count)
    throw tensorError(name, `has ${String(data.length)} elements, its shape [${shape.join(',')}] has ${String(count)}`)
  return { name, datatype, shape, bytes: toBytes(name, datatype, data) }
}

type List = readonly unknown[] | (ArrayLike<unknown> & ArrayBufferView)

/** A DataView is a view, too, but has no elements. */
const isList = (value: unknown): value is List =>
  Array.isArray(value) || (ArrayBuffer.isView(value) && !(value instanceof DataView))

function asFields(name: string, output: unknown): Readonly<Record<'data' | 'shape' | 'datatype', unknown>> {
  if (typeof output === 'object' && output !== null && 'data' in output)
    return { shape: undefined, datatype: undefined, ...output }
  throw tensorError(name, `is ${show(output)}, must be an array, a typed array or { data, shape }`)
}

function impliedShape({ name, shape }: DeclaredTensor, count: number): readonly number[] {
  const open = shape.filter((dimension) => dimension === -1).length
  if (open === 0) return shape
  const rest = shape.reduce((product, dimension) => (dimension === -1 ? product : product * dimension), 1)
  if (open === 1 && rest > 0 && count % rest === 0)
    return shape.map((dimension) => (dimension === -1 ? count / rest : dimension))
  const why = open > 1 ? 'has more than one open dimension' : `does not divide ${String(count)} elements`
  throw tensorError(name, `has no shape, and the declared [${shape.join(',')}] ${why}: give { data, shape }`)
}

function checkedShape({ name, shape: declared }: DeclaredTensor, given: unknown): readonly number[] {
  if (!Array.isArray(given) || !given.every((dimension) => typeof dimension === 'number'))
    throw tensorError(name, `shape is ${show(given)}, must be a list of numbers`)
  const fits =
    given.length === declared.length &&
    declared.every((dimension, axis) => dimension === -1 || dimension === given[axis])
  if (fits) return given
  throw tensorError(
    name,
    `has shape [${given.join(',')}], model.json declares [${declared.join(',')}] (-1 is any size)`,
  )
}

/** A copy: the model may go on using what it gave. */
function toBytes(name: string, datatype: Datatype, data: List): Uint8Array<ArrayBuffer> {
  if (datatype in ARRAYS) {
    const array = ARRAYS[datatype as keyof typeof ARRAYS]
    if (data instanceof array) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
  }
  return new Uint8Array(encodeElements(name, datatype, Array.isArray(data) ? data : Array.from(data)))
}

/** What was found, short enough for a message. */
function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 40))
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? `a ${value.constructor?.name ?? 'object'}` : String(value)
}
