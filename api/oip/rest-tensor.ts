/** One tensor of a REST message: its elements in `data`, or in the message's binary part (the binary-data extension). */
import type { ParameterValue, Parameters } from './parameters.ts'
import { parametersJson, parseParameters } from './parameters.ts'
import { DATATYPES, isDatatype } from './datatype.ts'
import { decodeElements, encodeElements } from './elements.ts'
import { asList, asObject, asText } from './json.ts'
import { checkedCount, checkedTensor, type Tensor, tensorError } from './tensor.ts'

const BINARY_SIZE = 'binary_data_size'
const textDecoder = new TextDecoder('utf-8', { fatal: true })

/** Takes the next bytes of a message's binary part. @throws ServingError TENSOR_INVALID when fewer are left */
export type TakeBinary = (name: string, size: number) => Uint8Array

/**
 * @param where the tensor's place in the message, for errors before its name is known
 * @throws ServingError TENSOR_INVALID naming the tensor
 */
export function parseRestTensor(raw: unknown, where: string, takeBinary: TakeBinary): Tensor {
  const fields = asObject(raw, where)
  const name = asText(fields['name'], `name of ${where}`)
  if (name === '') throw tensorError('', `${where} has no name`)
  const datatype = fields['datatype']
  if (!isDatatype(datatype))
    throw tensorError(name, `datatype ${JSON.stringify(datatype) ?? 'missing'} is none of ${DATATYPES.join(', ')}`)
  const shape = parseShape(name, fields['shape'])
  const count = checkedCount(name, shape)
  const { [BINARY_SIZE]: size, ...others } = parseParameters(fields['parameters'], `tensor "${name}"`)
  const parameters = others as Parameters
  if (size !== undefined) {
    if (fields['data'] !== undefined) throw tensorError(name, `has both data and ${BINARY_SIZE}: send one`)
    return checkedTensor({ name, datatype, shape, parameters, bytes: takeBinary(name, toSize(name, size)) })
  }
  if (fields['data'] === undefined) throw tensorError(name, `has neither data nor the parameter ${BINARY_SIZE}`)
  const elements = flatten(name, fields['data'], shape)
  if (elements.length !== count)
    throw tensorError(
      name,
      `data has ${elementsText(elements.length)}, shape [${shape.join(',')}] has ${String(count)}`,
    )
  rejectNotFinite(name, elements)
  return { name, datatype, shape, parameters, bytes: encodeElements(name, datatype, elements) }
}

/** JSON text of one tensor; with `binary`, its bytes must follow the message's JSON. */
export function tensorJson(tensor: Tensor, binary: boolean): string {
  const parameters = binary
    ? { ...tensor.parameters, [BINARY_SIZE]: BigInt(tensor.bytes.byteLength) }
    : tensor.parameters
  return [
    `{"name":${JSON.stringify(tensor.name)}`,
    `"datatype":"${tensor.datatype}"`,
    `"shape":[${tensor.shape.join(',')}]`,
    ...(Object.keys(parameters).length === 0 ? [] : [`"parameters":${parametersJson(parameters)}`]),
    ...(binary ? [] : [`"data":[${elementsJson(tensor)}]`]),
  ]
    .join(',')
    .concat('}')
}

/** Elements as JSON, flat. @throws ServingError TENSOR_INVALID for what JSON cannot say */
function elementsJson(tensor: Tensor): string {
  const elements = decodeElements(tensor)
  rejectNotFinite(tensor.name, elements)
  return elements
    .map((element) => {
      if (element instanceof Uint8Array) return JSON.stringify(toText(tensor.name, element))
      return Object.is(element, -0) ? '-0' : String(element)
    })
    .join(',')
}

function toText(name: string, bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes)
  } catch {
    throw tensorError(name, 'is not UTF-8, so JSON cannot hold it: ask for it with the parameter binary_data')
  }
}

function rejectNotFinite(name: string, elements: readonly unknown[]): void {
  const index = elements.findIndex((element) => typeof element === 'number' && !Number.isFinite(element))
  if (index < 0) return
  throw tensorError(
    name,
    `element ${String(index)} is ${String(elements[index])}, which JSON cannot hold: send or ask for it as binary data`,
  )
}

function parseShape(name: string, raw: unknown): number[] {
  if (!Array.isArray(raw)) throw tensorError(name, 'shape must be a list of whole numbers')
  return raw.map((dimension: unknown) => (typeof dimension === 'number' ? dimension : NaN))
}

function toSize(name: string, size: ParameterValue): number {
  if (typeof size !== 'bigint' || size < 0n)
    throw tensorError(name, `${BINARY_SIZE} ${String(size)} must be a whole number from 0 on`)
  return Number(size)
}

/** `data` is flat, or nested exactly as the shape says. */
function flatten(name: string, data: unknown, shape: readonly number[]): readonly unknown[] {
  const list = asList(data, `data of tensor "${name}"`)
  if (!Array.isArray(list[0])) return list
  const elements: unknown[] = []
  const visit = (part: unknown, depth: number): void => {
    if (depth === shape.length) {
      elements.push(part)
      return
    }
    if (!Array.isArray(part) || part.length !== shape[depth])
      throw tensorError(name, `data is not nested as shape [${shape.join(',')}] says, at depth ${String(depth)}`)
    for (const inner of part) visit(inner, depth + 1)
  }
  visit(list, 0)
  return elements
}

const elementsText = (count: number) => `${String(count)} element${count === 1 ? '' : 's'}`
