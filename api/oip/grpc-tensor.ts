/** Tensors of a gRPC message: typed contents beside each, or raw contents for all of them, by reference. */
import type { InferTensorContents, InferTensorContents__Output } from '../generated/inference/InferTensorContents.ts'
import type {
  _inference_ModelInferRequest_InferInputTensor,
  _inference_ModelInferRequest_InferInputTensor__Output,
} from '../generated/inference/ModelInferRequest.ts'
import { ServingError } from '../../kit/errors.ts'
import { DATATYPES, type Datatype, isDatatype } from './datatype.ts'
import { decodeElements, encodeElements } from './elements.ts'
import { fromGrpcParameters, toGrpcParameters } from './parameters.ts'
import { checkedCount, checkedTensor, type Tensor, tensorError } from './tensor.ts'

/** Input and output tensors have the same fields. */
export type GrpcTensor = _inference_ModelInferRequest_InferInputTensor
export type GrpcTensorRead = _inference_ModelInferRequest_InferInputTensor__Output

/** Where the protocol puts the elements of a datatype; FP16 has no field and travels raw only. */
const CONTENTS_FIELD = {
  BOOL: 'boolContents',
  UINT8: 'uintContents',
  UINT16: 'uintContents',
  UINT32: 'uintContents',
  UINT64: 'uint64Contents',
  INT8: 'intContents',
  INT16: 'intContents',
  INT32: 'intContents',
  INT64: 'int64Contents',
  FP16: undefined,
  FP32: 'fp32Contents',
  FP64: 'fp64Contents',
  BYTES: 'bytesContents',
} as const satisfies Record<Datatype, keyof InferTensorContents | undefined>

export const hasTypedContents = (datatype: Datatype): boolean => CONTENTS_FIELD[datatype] !== undefined

/**
 * All tensors of a message. Raw contents are all or nothing: one per tensor, and no typed contents.
 * @throws ServingError TENSOR_INVALID naming the tensor
 */
export function fromGrpcTensors(tensors: readonly GrpcTensorRead[], raw: readonly Uint8Array[]): Tensor[] {
  if (raw.length > 0 && raw.length !== tensors.length)
    throw new ServingError(
      'TENSOR_INVALID',
      `the message has ${String(tensors.length)} tensors (${tensors.map((t) => t.name).join(', ')}) but ${String(raw.length)} raw contents`,
    )
  return tensors.map((tensor, index) => fromGrpcTensor(tensor, index, raw[index]))
}

function fromGrpcTensor(tensor: GrpcTensorRead, index: number, raw: Uint8Array | undefined): Tensor {
  const { name, datatype, contents } = tensor
  if (name === '') throw tensorError('', `tensor ${String(index)} of the message has no name`)
  if (!isDatatype(datatype)) throw tensorError(name, `datatype "${datatype}" is none of ${DATATYPES.join(', ')}`)
  const shape = tensor.shape.map(Number)
  const parameters = fromGrpcParameters(tensor.parameters)
  const filled = contents === null ? [] : filledFields(contents)
  if (raw !== undefined) {
    if (filled.length > 0) throw tensorError(name, 'has typed contents in a message with raw contents: send one kind')
    return checkedTensor({ name, datatype, shape, parameters, bytes: raw })
  }
  const elements = typedElements(name, datatype, contents, filled)
  const count = checkedCount(name, shape)
  if (elements.length !== count)
    throw tensorError(name, `contents have ${String(elements.length)} elements, its shape has ${String(count)}`)
  return { name, datatype, shape, parameters, bytes: encodeElements(name, datatype, elements) }
}

function typedElements(
  name: string,
  datatype: Datatype,
  contents: InferTensorContents__Output | null,
  filled: readonly (keyof InferTensorContents__Output)[],
): readonly unknown[] {
  const field = CONTENTS_FIELD[datatype]
  if (field === undefined) throw tensorError(name, `${datatype} has no typed contents: send raw contents`)
  const wrong = filled.find((other) => other !== field)
  if (wrong !== undefined) throw tensorError(name, `${datatype} belongs in ${field}, but ${wrong} is filled`)
  if (contents === null) return []
  return field === 'int64Contents' || field === 'uint64Contents' ? contents[field].map(BigInt) : contents[field]
}

function filledFields(contents: InferTensorContents__Output): (keyof InferTensorContents__Output)[] {
  return (Object.keys(contents) as (keyof InferTensorContents__Output)[]).filter((field) => contents[field].length > 0)
}

/** The message's tensors and raw contents. Typed only when asked for and when every tensor has a typed form. */
export function toGrpcTensors(
  tensors: readonly Tensor[],
  form: 'typed' | 'raw',
): { tensors: GrpcTensor[]; raw: Uint8Array[] } {
  const typed = form === 'typed' && tensors.every((tensor) => hasTypedContents(tensor.datatype))
  return {
    tensors: tensors.map((tensor) => ({
      name: tensor.name,
      datatype: tensor.datatype,
      shape: [...tensor.shape],
      parameters: toGrpcParameters(tensor.parameters),
      ...(typed ? { contents: typedContents(tensor) } : {}),
    })),
    raw: typed ? [] : tensors.map((tensor) => tensor.bytes),
  }
}

function typedContents(tensor: Tensor): InferTensorContents {
  const field = CONTENTS_FIELD[tensor.datatype]
  if (field === undefined) throw tensorError(tensor.name, `${tensor.datatype} has no typed contents`)
  const elements = decodeElements(tensor)
  return { [field]: typeof elements[0] === 'bigint' ? elements.map(String) : elements }
}
