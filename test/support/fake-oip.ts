/** A model server small enough to see through: it answers with the sum of its input, by REST and gRPC. */
import { createServer, type IncomingMessage } from 'node:http'
import { type handleUnaryCall, Metadata, Server } from '@grpc/grpc-js'
import type { ModelInferRequest__Output } from '../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse } from '../../api/generated/inference/ModelInferResponse.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { decodeElements, encodeElements } from '../../api/oip/elements.ts'
import { fromGrpcRequest, toGrpcResponse } from '../../api/oip/grpc-inference.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { JSON_LENGTH_HEADER } from '../../api/oip/rest-message.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { toRestResponse } from '../../api/oip/rest-response.ts'
import { ServingError, toServingError } from '../../kit/errors.ts'
import { serveGrpc, toGrpcStatus } from '../../kit/grpc.ts'
import { listen } from '../../kit/http.ts'

export interface FakeOip {
  readonly restUrl: string
  readonly grpcUrl: string
  /** The names and values of the last request's headers or metadata. */
  lastHeaders(): Readonly<Record<string, unknown>>
  stop(): Promise<void>
}

const ROUTE = ':sum_1:'

/** `form`: how gRPC answers are encoded; REST answers are binary when it is raw. */
export async function startFakeOip(form: 'typed' | 'raw'): Promise<FakeOip> {
  let lastHeaders: Readonly<Record<string, unknown>> = {}
  const http = createServer((request, response) => {
    void (async () => {
      lastHeaders = request.headers
      try {
        const asked = parseRestRequest(await bodyOf(request))
        const answer = answerTo(request.url?.split('/')[3] ?? '', asked)
        const wanted = form === 'raw' ? { ...asked, parameters: { binary_data_output: true } } : asked
        const body = toRestResponse(answer, wanted)
        const length = body.jsonLength === undefined ? {} : { [JSON_LENGTH_HEADER]: String(body.jsonLength) }
        response.writeHead(200, { 'x-seldon-route': ROUTE, ...length }).end(Buffer.concat(body.chunks))
      } catch (error) {
        const failure = toServingError(error)
        response.writeHead(failure.httpStatus).end(JSON.stringify({ error: failure.message }))
      }
    })()
  })
  const grpc = new Server(GRPC_OPTIONS)
  const modelInfer: handleUnaryCall<ModelInferRequest__Output, ModelInferResponse> = (call, done) => {
    lastHeaders = call.metadata.getMap()
    const metadata = new Metadata()
    metadata.set('x-seldon-route', ROUTE)
    call.sendMetadata(metadata)
    try {
      done(null, toGrpcResponse(answerTo(call.request.modelName, fromGrpcRequest(call.request)), form))
    } catch (error) {
      done(toGrpcStatus(error))
    }
  }
  grpc.addService(GRPCInferenceService.service, { modelInfer })
  const httpPort = await listen(http, '127.0.0.1', 0)
  const running = await serveGrpc(grpc, '127.0.0.1', 0)
  return {
    restUrl: `http://127.0.0.1:${String(httpPort)}`,
    grpcUrl: `http://127.0.0.1:${String(running.port)}`,
    lastHeaders: () => lastHeaders,
    async stop() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
      await running.stop()
    },
  }
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** Of every model but `sum` it knows nothing. */
function answerTo(model: string, request: InferenceRequest): InferenceResponse {
  const [input] = request.inputs
  if (model !== 'sum') throw new ServingError('MODEL_NOT_FOUND', `model ${model} does not exist`)
  if (input === undefined) throw new ServingError('TENSOR_INVALID', 'tensor "x" is missing')
  const elements = decodeElements(input).map((element) => (typeof element === 'bigint' ? element : Number(element)))
  const sum = elements.reduce((total, element) =>
    typeof total === 'bigint' && typeof element === 'bigint' ? total + element : Number(total) + Number(element),
  )
  const output = { name: 'y', datatype: input.datatype, shape: [1], parameters: NO_PARAMETERS }
  return {
    modelName: `${model}_1`,
    modelVersion: '',
    id: request.id,
    parameters: NO_PARAMETERS,
    outputs: [{ ...output, bytes: encodeElements('y', input.datatype, [sum]) }],
  }
}
