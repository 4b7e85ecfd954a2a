/** A REST body: JSON, then (with the binary-data extension) the bytes of some tensors in their order. */
import { ServingError } from '../../kit/errors.ts'
import { asObject, parseJson } from './json.ts'
import { type TakeBinary } from './rest-tensor.ts'
import { type Tensor, tensorError } from './tensor.ts'

/** Length of the JSON part; absent when the body has no binary part. */
export const JSON_LENGTH_HEADER = 'inference-header-content-length'

export interface RestBody {
  readonly chunks: readonly Uint8Array[]
  readonly byteLength: number
  /** Value for JSON_LENGTH_HEADER; undefined: the body is all JSON. */
  readonly jsonLength: number | undefined
}

/**
 * Splits a body and hands its binary part out; `done` refuses bytes that no tensor took.
 * @throws ServingError REQUEST_INVALID
 */
export function openRestBody(
  body: Uint8Array,
  jsonLengthHeader: string | undefined,
): { fields: Readonly<Record<string, unknown>>; takeBinary: TakeBinary; done: () => void } {
  const jsonLength = jsonLengthHeader === undefined ? body.byteLength : toJsonLength(jsonLengthHeader, body.byteLength)
  const text = Buffer.from(body.buffer, body.byteOffset, jsonLength).toString('utf8')
  let at = jsonLength
  return {
    fields: asObject(parseJson(text), 'the body'),
    takeBinary(name, size) {
      const left = body.byteLength - at
      if (size > left)
        throw tensorError(name, `binary_data_size is ${String(size)}, but ${String(left)} bytes are left in the body`)
      at += size
      return body.subarray(at - size, at)
    },
    done() {
      if (at < body.byteLength)
        throw new ServingError(
          'REQUEST_INVALID',
          `${String(body.byteLength - at)} bytes at the end of the body belong to no tensor: see binary_data_size`,
        )
    },
  }
}

/** A body of JSON text and the bytes of its binary tensors, which are not copied. */
export function toRestBody(json: string, binary: readonly Tensor[]): RestBody {
  const head = Buffer.from(json, 'utf8')
  const chunks = [head, ...binary.map((tensor) => tensor.bytes)]
  return {
    chunks,
    byteLength: chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
    jsonLength: binary.length === 0 ? undefined : head.byteLength,
  }
}

function toJsonLength(header: string, bodyLength: number): number {
  const length = /^\d+$/.test(header.trim()) ? Number(header) : NaN
  if (length <= bodyLength) return length
  throw new ServingError(
    'REQUEST_INVALID',
    `header Inference-Header-Content-Length "${header}" must be a number up to the body's ${String(bodyLength)} bytes`,
  )
}
