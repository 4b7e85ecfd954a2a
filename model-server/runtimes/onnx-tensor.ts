/** Tensors of the protocol <-> tensors of onnxruntime. */
import { Tensor as OnnxTensor } from 'onnxruntime-node'
import type { Datatype } from '../../api/oip/datatype.ts'
import { elementCount, joinBytesElements, splitBytesElements, tensorError } from '../../api/oip/tensor.ts'
import type { WorkerTensor } from './worker-tensor.ts'

const textDecoder = new TextDecoder('utf-8', { fatal: true })

const TYPES = {
  BOOL: ['bool', Uint8Array],
  UINT8: ['uint8', Uint8Array],
  UINT16: ['uint16', Uint16Array],
  UINT32: ['uint32', Uint32Array],
  UINT64: ['uint64', BigUint64Array],
  INT8: ['int8', Int8Array],
  INT16: ['int16', Int16Array],
  INT32: ['int32', Int32Array],
  INT64: ['int64', BigInt64Array],
  FP16: ['float16', Uint16Array],
  FP32: ['float32', Float32Array],
  FP64: ['float64', Float64Array],
  BYTES: ['string', undefined],
} as const satisfies Record<Datatype, readonly [OnnxTensor.Type, unknown]>

const DATATYPES = new Map<string, Datatype>(
  Object.entries(TYPES).map(([datatype, [type]]) => [type, datatype as Datatype]),
)

/** @throws Error for types that the protocol does not have */
export function toDatatype(name: string, type: string): Datatype {
  const datatype = DATATYPES.get(type)
  if (datatype === undefined) throw new Error(`tensor "${name}" is of type ${type}, which the protocol does not have`)
  return datatype
}

/** @throws ServingError TENSOR_INVALID for BYTES that are not UTF-8: ONNX has text only */
export function toOnnxTensor({ name, datatype, shape, bytes }: WorkerTensor): OnnxTensor {
  const [type, view] = TYPES[datatype]
  if (view === undefined) return new OnnxTensor('string', toTexts(name, bytes, elementCount(shape)), shape)
  const elements = new view(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.byteLength / view.BYTES_PER_ELEMENT)
  return new OnnxTensor(type, elements, shape)
}

export function fromOnnxTensor(name: string, tensor: OnnxTensor): WorkerTensor {
  const { data } = tensor
  const bytes = Array.isArray(data)
    ? joinBytesElements(data.map((text) => Buffer.from(text, 'utf8')))
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  return { name, datatype: toDatatype(name, tensor.type), shape: tensor.dims, bytes }
}

function toTexts(name: string, bytes: Uint8Array, count: number): string[] {
  return splitBytesElements(name, bytes, count).map((element, index) => {
    try {
      return textDecoder.decode(element)
    } catch {
      throw tensorError(name, `element ${String(index)} is not UTF-8, which is all that ONNX knows`)
    }
  })
}
