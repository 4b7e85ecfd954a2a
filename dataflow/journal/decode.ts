/** What records hold, read: protobuf of the Open Inference Protocol, or a request in JSON that a program wrote. Pure. */
import { GRPCInferenceService } from '../../api/grpc.ts'
import { fromGrpcRequest, fromGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { ServingError } from '../../kit/errors.ts'
import type { IncomingRecord, RecordHeaders } from '../kafka/client.ts'

const { requestDeserialize, responseDeserialize } = GRPCInferenceService.service.ModelInfer
const CONTENT_TYPE = 'content-type'
/** No protobuf of the protocol begins with it. */
const BRACE = 0x7b

type Content = Pick<IncomingRecord, 'value' | 'headers'>

/** The last value of a header. */
export const headerOf = (headers: RecordHeaders, name: string): string | undefined =>
  headers.findLast(([given]) => given.toLowerCase() === name)?.[1]

/** @throws ServingError REQUEST_INVALID, TENSOR_INVALID */
export function decodeRequest({ value, headers }: Content): InferenceRequest {
  if (value.length === 0) throw new ServingError('REQUEST_INVALID', 'the record is empty: it must hold a request')
  const request = isJson({ value, headers })
    ? parseRestRequest(value)
    : fromGrpcRequest(asProtobuf('request', () => requestDeserialize(value)))
  if (request.inputs.length === 0) throw new ServingError('REQUEST_INVALID', 'the record is a request without inputs')
  return request
}

/** @throws ServingError REQUEST_INVALID, TENSOR_INVALID */
export const decodeResponse = (value: Buffer): InferenceResponse =>
  fromGrpcResponse(asProtobuf('response', () => responseDeserialize(value)))

export const isJson = ({ value, headers }: Content): boolean =>
  value[0] === BRACE || headerOf(headers, CONTENT_TYPE)?.startsWith('application/json') === true

function asProtobuf<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new ServingError(
      'REQUEST_INVALID',
      `the record is neither a ${what} of the Open Inference Protocol in protobuf nor JSON: ${String(error)}`,
      { cause: error },
    )
  }
}
