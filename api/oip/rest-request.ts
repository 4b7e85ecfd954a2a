/** Inference requests as REST has them. */
import type { InferenceRequest, RequestedOutput } from './inference.ts'
import { asList, asObject, asText } from './json.ts'
import { isEmpty, parametersJson, type Parameters, parseParameters } from './parameters.ts'
import { OpenRestBody, type RestBody, toRestBody } from './rest-message.ts'
import { parseRestTensors, tensorJson } from './rest-tensor.ts'
import { tensorError } from './tensor.ts'

/**
 * @param jsonLengthHeader value of Inference-Header-Content-Length, when the request has it
 * @throws ServingError REQUEST_INVALID, TENSOR_INVALID
 */
export function parseRestRequest(body: Uint8Array, jsonLengthHeader?: string): InferenceRequest {
  const open = new OpenRestBody(body, jsonLengthHeader)
  const { fields } = open
  const request: InferenceRequest = {
    id: asText(fields['id'], 'id'),
    parameters: parseParameters(fields['parameters'], 'the request'),
    inputs: parseRestTensors(fields['inputs'], 'inputs', open),
    outputs: asList(fields['outputs'], 'outputs').map((raw, index) => parseOutput(raw, `outputs[${String(index)}]`)),
  }
  open.done()
  return request
}

function parseOutput(raw: unknown, where: string): RequestedOutput {
  const fields = asObject(raw, where)
  const name = asText(fields['name'], `name of ${where}`)
  if (name === '') throw tensorError('', `${where} has no name`)
  return { name, parameters: parseParameters(fields['parameters'], `output "${name}"`) }
}

/** The inverse, for clients: every input in JSON, or with `binary` every input as bytes. */
export function toRestRequest(request: InferenceRequest, binary = false): RestBody {
  const inputs = request.inputs.map((tensor) => tensorJson(tensor, binary))
  const outputs = request.outputs.map(
    (output) => `{"name":${JSON.stringify(output.name)}${parametersMember(output.parameters)}}`,
  )
  const members = [
    ...(request.id === '' ? [] : [`"id":${JSON.stringify(request.id)}`]),
    `"inputs":[${inputs.join(',')}]`,
    ...(outputs.length === 0 ? [] : [`"outputs":[${outputs.join(',')}]`]),
  ]
  const json = `{${members.join(',')}${parametersMember(request.parameters)}}`
  return toRestBody(json, binary ? request.inputs : [])
}

function parametersMember(parameters: Parameters): string {
  return isEmpty(parameters) ? '' : `,"parameters":${parametersJson(parameters)}`
}

/** Whether the client wants this output as bytes: the output's own word, else the request's, else no. */
export function wantsBinary(request: InferenceRequest, outputName: string): boolean {
  for (const output of request.outputs) {
    if (output.name !== outputName) continue
    const own = output.parameters['binary_data']
    if (own !== undefined) return own === true
    break
  }
  return request.parameters['binary_data_output'] === true
}
