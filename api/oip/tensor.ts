/**
 * The one form in which tensors travel inside Millrace: name, datatype, shape and the elements' bytes as the protocol's
 * raw contents have them (little-endian, row-major; each BYTES element preceded by its length in 4 bytes). Raw contents
 * are therefore passed on by reference; JSON and typed gRPC contents are converted once.
 *
 * Typed arrays are used as they are, so this supposes a little-endian machine, as every platform of Node's is but s390x.
 */
import { ServingError } from '../../kit/errors.ts'
import { type Datatype, elementBytes } from './datatype.ts'
import type { Parameters } from './parameters.ts'

export interface Tensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
  readonly parameters: Parameters
}

const LENGTH_BYTES = 4

/** Every refusal of a tensor names it. */
export function tensorError(name: string, problem: string): ServingError {
  return new ServingError('TENSOR_INVALID', `tensor "${name}": ${problem}`)
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((count, dimension) => count * dimension, 1)
}

/**
 * A tensor whose shape and bytes agree.
 * @throws ServingError TENSOR_INVALID
 */
export function checkedTensor(tensor: Tensor): Tensor {
  const { name, datatype, shape, bytes } = tensor
  const count = checkedCount(name, shape)
  const size = elementBytes(datatype)
  if (size === undefined) splitBytesElements(name, bytes, count)
  else if (bytes.byteLength !== count * size) {
    const expected = `${String(count * size)} bytes for shape [${shape.join(',')}] of ${datatype}`
    throw tensorError(name, `has ${String(bytes.byteLength)} bytes, must have ${expected}`)
  }
  return tensor
}

/**
 * Number of elements of a shape that came from outside.
 * @throws ServingError TENSOR_INVALID for a negative, fractional or absurd dimension
 */
export function checkedCount(name: string, shape: readonly number[]): number {
  for (const dimension of shape) {
    if (!Number.isSafeInteger(dimension) || dimension < 0)
      throw tensorError(name, `shape [${shape.join(',')}]: dimensions must be whole numbers from 0 on`)
  }
  const count = elementCount(shape)
  if (!Number.isSafeInteger(count)) throw tensorError(name, `shape [${shape.join(',')}] has too many elements`)
  return count
}

/**
 * The elements of a BYTES tensor, each a view into `bytes`.
 * @throws ServingError TENSOR_INVALID when the lengths do not add up to exactly `count` elements
 */
export function splitBytesElements(name: string, bytes: Uint8Array, count: number): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const elements: Uint8Array[] = []
  let at = 0
  while (at < bytes.byteLength) {
    const start = at + LENGTH_BYTES
    const end = start > bytes.byteLength ? Infinity : start + view.getUint32(at, true)
    if (end > bytes.byteLength)
      throw tensorError(name, `element ${String(elements.length)} reaches beyond the ${String(bytes.byteLength)} bytes`)
    elements.push(bytes.subarray(start, end))
    at = end
  }
  if (elements.length !== count)
    throw tensorError(name, `has ${String(elements.length)} elements, its shape has ${String(count)}`)
  return elements
}

/** The inverse of splitBytesElements. */
export function joinBytesElements(elements: readonly Uint8Array[]): Uint8Array {
  const total = elements.reduce((sum, element) => sum + LENGTH_BYTES + element.byteLength, 0)
  const bytes = new Uint8Array(total)
  const view = new DataView(bytes.buffer)
  let at = 0
  for (const element of elements) {
    view.setUint32(at, element.byteLength, true)
    bytes.set(element, at + LENGTH_BYTES)
    at += LENGTH_BYTES + element.byteLength
  }
  return bytes
}
