/** Inference responses as REST has them. */
import type { InferenceRequest, InferenceResponse } from './inference.ts'
import { asText } from './json.ts'
import { parametersJson, parseParameters } from './parameters.ts'
import { OpenRestBody, type RestBody, toRestBody } from './rest-message.ts'
import { wantsBinary } from './rest-request.ts'
import { parseRestTensors, tensorJson } from './rest-tensor.ts'
import type { Tensor } from './tensor.ts'

/**
 * The answer in the form that the request asked for.
 * @throws ServingError TENSOR_INVALID when an output has no JSON form and was not asked for as bytes
 */
export function toRestResponse(response: InferenceResponse, request: InferenceRequest): RestBody {
  const binary: Tensor[] = []
  let outputs = ''
  for (const tensor of response.outputs) {
    const isBinary = wantsBinary(request, tensor.name)
    if (isBinary) binary.push(tensor)
    outputs += `${outputs === '' ? '' : ','}${tensorJson(tensor, isBinary)}`
  }
  const { modelName, modelVersion, id, parameters } = response
  const version = modelVersion === '' ? '' : `,"model_version":${JSON.stringify(modelVersion)}`
  const idMember = id === '' ? '' : `,"id":${JSON.stringify(id)}`
  const head = `{"model_name":${JSON.stringify(modelName)}${version}${idMember}`
  return toRestBody(`${head},"parameters":${parametersJson(parameters)},"outputs":[${outputs}]}`, binary)
}

/**
 * The inverse, for clients.
 * @throws ServingError REQUEST_INVALID, TENSOR_INVALID when the server's answer is not the protocol's
 */
export function parseRestResponse(body: Uint8Array, jsonLengthHeader?: string): InferenceResponse {
  const open = new OpenRestBody(body, jsonLengthHeader)
  const { fields } = open
  const response: InferenceResponse = {
    modelName: asText(fields['model_name'], 'model_name'),
    modelVersion: asText(fields['model_version'], 'model_version'),
    id: asText(fields['id'], 'id'),
    parameters: parseParameters(fields['parameters'], 'the response'),
    outputs: parseRestTensors(fields['outputs'], 'outputs', open),
  }
  open.done()
  return response
}
