import type { Datatype } from '../../api/oip/datatype.ts'
import type { Tensor } from '../../api/oip/tensor.ts'

/** What crosses a thread boundary: a tensor of the protocol, its bytes in a buffer of their own. */
export interface WorkerTensor {
  readonly name: string
  readonly datatype: Datatype
  readonly shape: readonly number[]
  readonly bytes: Uint8Array
}

/** With a buffer that may be transferred. */
export interface OwnTensor extends WorkerTensor {
  readonly bytes: Uint8Array<ArrayBuffer>
}

/** A copy that the thread keeps: the bytes may be a part of a larger message, and must be aligned. */
export function toWorkerTensor({ name, datatype, shape, bytes }: Tensor): OwnTensor {
  return { name, datatype, shape, bytes: new Uint8Array(bytes) }
}
