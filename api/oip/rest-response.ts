/** Inference responses as REST has them. */
import type { InferenceRequest, InferenceResponse } from './inference.ts'
import { asList, asText } from './json.ts'
import { parametersJson, parseParameters } from './parameters.ts'
import { openRestBody, type RestBody, toRestBody } from './rest-message.ts'
import { wantsBinary } from './rest-request.ts'
import { parseRestTensor, tensorJson } from './rest-tensor.ts'

/**
 * The answer in the form that the request asked for.
 * @throws ServingError TENSOR_INVALID when an output has no JSON form and was not asked for as bytes
 */
export function toRestResponse(response: InferenceResponse, request: InferenceRequest): RestBody {
  const binary = response.outputs.filter((tensor) => wantsBinary(request, tensor.name))
  const outputs = response.outputs.map((tensor) => tensorJson(tensor, binary.includes(tensor)))
  const members = [
    `"model_name":${JSON.stringify(response.modelName)}`,
    ...(response.modelVersion === '' ? [] : [`"model_version":${JSON.stringify(response.modelVersion)}`]),
    ...(response.id === '' ? [] : [`"id":${JSON.stringify(response.id)}`]),
    `"parameters":${parametersJson(response.parameters)}`,
    `"outputs":[${outputs.join(',')}]`,
  ]
  return toRestBody(`{${members.join(',')}}`, binary)
}

/**
 * The inverse, for clients.
 * @throws ServingError REQUEST_INVALID, TENSOR_INVALID when the server's answer is not the protocol's
 */
export function parseRestResponse(body: Uint8Array, jsonLengthHeader?: string): InferenceResponse {
  const { fields, takeBinary, done } = openRestBody(body, jsonLengthHeader)
  const response: InferenceResponse = {
    modelName: asText(fields['model_name'], 'model_name'),
    modelVersion: asText(fields['model_version'], 'model_version'),
    id: asText(fields['id'], 'id'),
    parameters: parseParameters(fields['parameters'], 'the response'),
    outputs: asList(fields['outputs'], 'outputs').map((raw, index) =>
      parseRestTensor(raw, `outputs[${String(index)}]`, takeBinary),
    ),
  }
  done()
  return response
}
