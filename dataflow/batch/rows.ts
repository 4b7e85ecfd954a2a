/**
 * Rows of several requests to one model as one request, and the rows of its answer back to those that they belong to. A row is
 * one entry of the first dimension, which all tensors of a request share. Pure.
 */
import { elementBytes } from '../../api/oip/datatype.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { elementCount, joinBytesElements, splitBytesElements, type Tensor } from '../../api/oip/tensor.ts'

export interface Rows {
  readonly count: number
  /** Requests with the same one may stand in one batch: they differ in their rows only. */
  readonly form: string
}

/** Undefined: its tensors have no rows in common, so it stands alone. */
export function rowsOf({ inputs, outputs, parameters }: InferenceRequest): Rows | undefined {
  const count = inputs[0]?.shape[0]
  const names = new Set(inputs.map(({ name }) => name))
  if (count === undefined || count < 1 || names.size < inputs.length) return undefined
  if (inputs.some(({ shape }) => shape[0] !== count)) return undefined
  const tensors = inputs.map(({ name, datatype, shape, parameters: own }) => [name, datatype, shape.slice(1), own])
  return { count, form: JSON.stringify([tensors, outputs, parameters], writeBigInt) }
}

const writeBigInt = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? `${String(value)}n` : value)

/** Of requests of one form, in their order. */
export function mergeRequests(requests: readonly [InferenceRequest, ...InferenceRequest[]]): InferenceRequest {
  const [first] = requests
  return {
    ...first,
    id: '',
    inputs: first.inputs.map((tensor, index) => {
      const parts = requests.flatMap(({ inputs }) => inputs[index] ?? [])
      const rows = parts.reduce((sum, { shape }) => sum + (shape[0] ?? 0), 0)
      return {
        ...tensor,
        shape: [rows, ...tensor.shape.slice(1)],
        bytes: Buffer.concat(parts.map(({ bytes }) => bytes)),
      }
    }),
  }
}

/** One response for each member, in their order; undefined: the answer has not as many rows as were asked for. */
export function shareOut(
  response: InferenceResponse,
  members: readonly { readonly id: string; readonly rows: number }[],
): readonly InferenceResponse[] | undefined {
  const total = members.reduce((sum, { rows }) => sum + rows, 0)
  if (response.outputs.some(({ shape }) => shape[0] !== total)) return undefined
  let at = 0
  return members.map(({ id, rows }) => {
    const from = at
    at += rows
    return { ...response, id, outputs: response.outputs.map((tensor) => sliceRows(tensor, total, from, rows)) }
  })
}

function sliceRows(tensor: Tensor, total: number, from: number, count: number): Tensor {
  const { name, datatype, shape, bytes } = tensor
  const perRow = elementCount(shape.slice(1))
  const size = elementBytes(datatype)
  const cut = { ...tensor, shape: [count, ...shape.slice(1)] }
  if (size !== undefined) return { ...cut, bytes: bytes.subarray(from * perRow * size, (from + count) * perRow * size) }
  const elements = splitBytesElements(name, bytes, total * perRow)
  return { ...cut, bytes: joinBytesElements(elements.slice(from * perRow, (from + count) * perRow)) }
}
