import type { TensorMetadata } from '../../api/oip/metadata.ts'
import type { Tensor } from '../../api/oip/tensor.ts'
import type { Running } from '../../kit/lifecycle.ts'
import type { ModelDocument } from '../model-document.ts'

/** What executes models of one platform. A new kind of model is a new file in this folder and a line in main.ts. */
export interface Runtime extends Running {
  /** As in `model.json`. */
  readonly platform: string
  /** The file by which a folder without `model.json` is known to be of this platform. */
  readonly artifact: string
  load(folder: ModelFolder): Promise<LoadedModel>
}

export interface ModelFolder {
  /** `<model>_<version>` */
  readonly internalName: string
  readonly path: string
  readonly document: ModelDocument
}

export interface LoadedModel {
  readonly inputs: readonly TensorMetadata[]
  readonly outputs: readonly TensorMetadata[]
  /**
   * The inputs fit the metadata. Gives the outputs asked for, in that order; a model
   * may leave some out. May stop early when `signal` aborts.
   */
  infer(inputs: readonly Tensor[], outputNames: readonly string[], signal: AbortSignal): Promise<readonly Tensor[]>
  close(): Promise<void>
}
