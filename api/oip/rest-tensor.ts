/** One tensor of a REST message: its elements in `data`, or in the message's binary part (the binary-data extension). */
import { isEmpty, parametersJson, type Parameters, type ParameterValue, parseParameters } from './parameters.ts'
import { DATATYPES, isDatatype } from './datatype.ts'
import { decodeElements, type Element, encodeElements } from './elements.ts'
import { asList, asObject, asText } from './json.ts'
import { checkedCount, checkedTensor, type Tensor, tensorError } from './tensor.ts'

const BINARY_SIZE = 'binary_data_size'
const textDecoder = new TextDecoder('utf-8', { fatal: true })

/** Of a message: the bytes of its tensors. */
export interface BinaryPart {
  /** The next bytes. @throws ServingError TENSOR_INVALID when fewer are left */
  take(name: string, size: number): Uint8Array
}

/** @param where of the list in the message. @throws ServingError REQUEST_INVALID, TENSOR_INVALID */
export function parseRestTensors(raw: unknown, where: string, binary: BinaryPart): Tensor[] {
  const tensors: Tensor[] = []
  for (const one of asList(raw, where))
    tensors.push(parseRestTensor(one, `${where}[${String(tensors.length)}]`, binary))
  return tensors
}

/**
 * @param where the tensor's place in the message, for errors before its name is known
 * @throws ServingError TENSOR_INVALID naming the tensor
 */
function parseRestTensor(raw: unknown, where: string, binary: BinaryPart): Tensor {
  const fields = asObject(raw, where)
  const name = asText(fields['name'], `name of ${where}`)
  if (name === '') throw tensorError('', `${where} has no name`)
  const datatype = fields['datatype']
  if (!isDatatype(datatype))
    throw tensorError(name, `datatype ${JSON.stringify(datatype) ?? 'missing'} is none of ${DATATYPES.join(', ')}`)
  const shape = parseShape(name, fields['shape'])
  const count = checkedCount(name, shape)
  const sent = parseParameters(fields['parameters'], `tensor "${name}"`)
  const size = sent[BINARY_SIZE]
  const parameters = size === undefined ? sent : withoutSize(sent)
  if (size !== undefined) {
    if (fields['data'] !== undefined) throw tensorError(name, `has both data and ${BINARY_SIZE}: send one`)
    return checkedTensor({ name, datatype, shape, parameters, bytes: binary.take(name, toSize(name, size)) })
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

const withoutSize = (parameters: Parameters): Parameters =>
  Object.fromEntries(Object.entries(parameters).filter(([name]) => name !== BINARY_SIZE))

/** JSON text of one tensor; with `binary`, its bytes must follow the message's JSON. */
export function tensorJson(tensor: Tensor, binary: boolean): string {
  const { name, datatype, shape, bytes } = tensor
  const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(',')}]`
  const parameters = binary
    ? Object.assign({}, tensor.parameters, { [BINARY_SIZE]: BigInt(bytes.byteLength) })
    : tensor.parameters
  const own = isEmpty(parameters) ? '' : `,"parameters":${parametersJson(parameters)}`
  return binary ? `${head}${own}}` : `${head}${own},"data":[${elementsJson(tensor)}]}`
}

/** Elements as JSON, flat. @throws ServingError TENSOR_INVALID for what JSON cannot say */
function elementsJson(tensor: Tensor): string {
  const elements = decodeElements(tensor)
  rejectNotFinite(tensor.name, elements)
  let json = ''
  for (let index = 0; index < elements.length; index += 1)
    json += index === 0 ? elementJson(tensor.name, elements[index]) : `,${elementJson(tensor.name, elements[index])}`
  return json
}

function elementJson(name: string, element: Element | undefined): string {
  if (element instanceof Uint8Array) return JSON.stringify(toText(name, element))
  return Object.is(element, -0) ? '-0' : String(element)
}

function toText(name: string, bytes: Uint8Array): string {
  try {
    return textDecoder.decode(bytes)
  } catch {
    throw tensorError(name, 'is not UTF-8, so JSON cannot hold it: ask for it with the parameter binary_data')
  }
}

function rejectNotFinite(name: string, elements: readonly unknown[]): void {
  for (let index = 0; index < elements.length; index += 1) {
    const element = elements[index]
    if (typeof element === 'number' && !Number.isFinite(element))
      throw tensorError(
        name,
        `element ${String(index)} is ${String(element)}, which JSON cannot hold: send or ask for it as binary data`,
      )
  }
}

function parseShape(name: string, raw: unknown): number[] {
  if (!Array.isArray(raw)) throw tensorError(name, 'shape must be a list of whole numbers')
  const shape: number[] = []
  for (const dimension of raw as readonly unknown[]) shape.push(typeof dimension === 'number' ? dimension : NaN)
  return shape
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
  if (shape.length === 0) return [list] // which is no element: it is refused as one
  const elements: unknown[] = []
  flattenInto(elements, name, list, shape, 0)
  return elements
}

function flattenInto(elements: unknown[], name: string, part: unknown, shape: readonly number[], depth: number): void {
  if (!Array.isArray(part) || part.length !== shape[depth])
    throw tensorError(name, `data is not nested as shape [${shape.join(',')}] says, at depth ${String(depth)}`)
  const isInnermost = depth + 1 === shape.length
  for (const inner of part) {
    if (isInnermost) elements.push(inner)
    else flattenInto(elements, name, inner, shape, depth + 1)
  }
}

const elementsText = (count: number) => `${String(count)} element${count === 1 ? '' : 's'}`
