/** What the server and an ONNX worker thread say to each other: one reply per call, by its number. */
import type { ErrorCode } from '../../kit/errors.ts'
import type { GraphTensor } from './onnx-metadata.ts'
import type { WorkerTensor } from './worker-tensor.ts'

export type WorkerRequest =
  | { readonly kind: 'load'; readonly path: string; readonly threads: number }
  | {
      readonly kind: 'run'
      readonly session: number
      readonly inputs: readonly WorkerTensor[]
      readonly outputs: readonly string[]
    }
  | { readonly kind: 'release'; readonly session: number }

export interface Session {
  readonly id: number
  readonly inputs: readonly GraphTensor[]
  readonly outputs: readonly GraphTensor[]
}

export type WorkerReply =
  | { readonly kind: 'loaded'; readonly session: Session }
  | { readonly kind: 'ran'; readonly outputs: readonly WorkerTensor[] }
  | { readonly kind: 'released' }
  /** With a code when it is the caller's error. */
  | { readonly kind: 'failed'; readonly message: string; readonly code: ErrorCode | undefined }

export interface WorkerCall {
  readonly call: number
  readonly request: WorkerRequest
}

export interface WorkerAnswer {
  readonly call: number
  readonly reply: WorkerReply
}
