/** A REST body: JSON, then (with the binary-data extension) the bytes of some tensors in their order. */
import { ServingError } from '../../kit/errors.ts'
import { asObject, parseJson } from './json.ts'
import type { BinaryPart } from './rest-tensor.ts'
import { type Tensor, tensorError } from './tensor.ts'

/** Length of the JSON part; absent when the body has no binary part. */
export const JSON_LENGTH_HEADER = 'inference-header-content-length'

export interface RestBody {
  readonly chunks: readonly Uint8Array[]
  readonly byteLength: number
  /** Value for JSON_LENGTH_HEADER; undefined: the body is all JSON. */
  readonly jsonLength: number | undefined
}

/** A body that came: its JSON, and its binary part, which its tensors take one after the other. */
export class OpenRestBody implements BinaryPart {
  readonly fields: Readonly<Record<string, unknown>>
  readonly #body: Uint8Array
  #at: number

  /** @throws ServingError REQUEST_INVALID */
  constructor(body: Uint8Array, jsonLengthHeader: string | undefined) {
    this.#body = body
    this.#at = jsonLengthHeader === undefined ? body.byteLength : toJsonLength(jsonLengthHeader, body.byteLength)
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    this.fields = asObject(parseJson(bytes.toString('utf8', 0, this.#at)), 'the body')
  }

  take(name: string, size: number): Uint8Array {
    const left = this.#body.byteLength - this.#at
    if (size > left)
      throw tensorError(name, `binary_data_size is ${String(size)}, but ${String(left)} bytes are left in the body`)
    this.#at += size
    return this.#body.subarray(this.#at - size, this.#at)
  }

  /** Refuses bytes that no tensor took. @throws ServingError REQUEST_INVALID */
  done(): void {
    const left = this.#body.byteLength - this.#at
    if (left > 0)
      throw new ServingError(
        'REQUEST_INVALID',
        `${String(left)} bytes at the end of the body belong to no tensor: see binary_data_size`,
      )
  }
}

/** A body of JSON text and the bytes of its binary tensors, which are not copied. */
export function toRestBody(json: string, binary: readonly Tensor[]): RestBody {
  const head = Buffer.from(json, 'utf8')
  if (binary.length === 0) return { chunks: [head], byteLength: head.byteLength, jsonLength: undefined }
  const chunks = [head, ...binary.map((tensor) => tensor.bytes)]
  return {
    chunks,
    byteLength: chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0),
    jsonLength: head.byteLength,
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
