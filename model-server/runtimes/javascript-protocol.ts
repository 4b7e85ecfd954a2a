/** What the server and the thread of a JavaScript model say to each other: one reply per call, one call at a time. */
import type { DeclaredTensor } from '../model-document.ts'
import type { WorkerTensor } from './worker-tensor.ts'

/** Given to the thread when it starts. */
export interface JavascriptThreadData {
  /** As models see it: `<model>_<version>`. */
  readonly name: string
  readonly folder: string
  readonly parameters: Readonly<Record<string, string | number | boolean>>
  readonly outputs: readonly DeclaredTensor[]
}

export type ThreadRequest =
  | { readonly kind: 'load' }
  | { readonly kind: 'infer'; readonly inputs: readonly WorkerTensor[]; readonly outputs: readonly string[] }

export type ThreadReply =
  | { readonly kind: 'loaded' }
  | { readonly kind: 'inferred'; readonly outputs: readonly WorkerTensor[] }
  | { readonly kind: 'failed'; readonly message: string; readonly fault: 'caller' | 'model' }

export interface ThreadCall {
  readonly call: number
  readonly request: ThreadRequest
}

export interface ThreadAnswer {
  readonly call: number
  readonly reply: ThreadReply
}
