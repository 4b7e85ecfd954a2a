/** Inference requests and responses as gRPC has them. */
import type { ModelInferRequest, ModelInferRequest__Output } from '../generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse, ModelInferResponse__Output } from '../generated/inference/ModelInferResponse.ts'
import { fromGrpcTensors, toGrpcTensors } from './grpc-tensor.ts'
import type { InferenceRequest, InferenceResponse } from './inference.ts'
import { fromGrpcParameters, toGrpcParameters } from './parameters.ts'

/** @throws ServingError TENSOR_INVALID naming the tensor */
export function fromGrpcRequest(message: ModelInferRequest__Output): InferenceRequest {
  return {
    id: message.id,
    parameters: fromGrpcParameters(message.parameters),
    inputs: fromGrpcTensors(message.inputs, message.rawInputContents),
    outputs: message.outputs.map((output) => ({
      name: output.name,
      parameters: fromGrpcParameters(output.parameters),
    })),
  }
}

export function toGrpcRequest(
  request: InferenceRequest,
  modelName: string,
  form: 'typed' | 'raw' = 'typed',
): ModelInferRequest {
  const { tensors, raw } = toGrpcTensors(request.inputs, form)
  return {
    modelName,
    id: request.id,
    parameters: toGrpcParameters(request.parameters),
    inputs: tensors,
    outputs: request.outputs.map((output) => ({
      name: output.name,
      parameters: toGrpcParameters(output.parameters),
    })),
    rawInputContents: raw as Buffer[],
  }
}

/** @throws ServingError TENSOR_INVALID naming the tensor */
export function fromGrpcResponse(message: ModelInferResponse__Output): InferenceResponse {
  return {
    modelName: message.modelName,
    modelVersion: message.modelVersion,
    id: message.id,
    parameters: fromGrpcParameters(message.parameters),
    outputs: fromGrpcTensors(message.outputs, message.rawOutputContents),
  }
}

export function toGrpcResponse(response: InferenceResponse, form: 'typed' | 'raw'): ModelInferResponse {
  const { tensors, raw } = toGrpcTensors(response.outputs, form)
  return {
    modelName: response.modelName,
    modelVersion: response.modelVersion,
    id: response.id,
    parameters: toGrpcParameters(response.parameters),
    outputs: tensors,
    rawOutputContents: raw as Buffer[],
  }
}
