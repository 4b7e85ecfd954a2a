/** An inference request and its response, in the form that neither REST nor gRPC has. */
import type { Parameters } from './parameters.ts'
import type { Tensor } from './tensor.ts'

export interface RequestedOutput {
  readonly name: string
  readonly parameters: Parameters
}

export interface InferenceRequest {
  /** Empty: the client sent none. */
  readonly id: string
  readonly parameters: Parameters
  readonly inputs: readonly Tensor[]
  /** Empty: all outputs. */
  readonly outputs: readonly RequestedOutput[]
}

export interface InferenceResponse {
  readonly modelName: string
  readonly modelVersion: string
  readonly id: string
  readonly parameters: Parameters
  readonly outputs: readonly Tensor[]
}
