/** Inference through the ingress, by REST or gRPC. Requests and answers are the JSON of OIP's REST form for both. */
import { type ChannelCredentials, credentials, Metadata, type MetadataValue } from '@grpc/grpc-js'
import type { ModelInferResponse__Output } from '../../api/generated/inference/ModelInferResponse.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { hasTypedContents } from '../../api/oip/grpc-tensor.ts'
import { fromGrpcResponse, toGrpcRequest } from '../../api/oip/grpc-inference.ts'
import type { InferenceResponse } from '../../api/oip/inference.ts'
import { NO_PARAMETERS } from '../../api/oip/parameters.ts'
import { JSON_LENGTH_HEADER } from '../../api/oip/rest-message.ts'
import { parseRestRequest } from '../../api/oip/rest-request.ts'
import { parseRestResponse, toRestResponse } from '../../api/oip/rest-response.ts'
import type { WatchedCertificates } from '../../kit/certificates.ts'
import { ServingError } from '../../kit/errors.ts'
import { fromGrpcError } from '../../kit/grpc.ts'
import { toChannelCredentials } from '../../kit/grpc-security.ts'
import { type HttpReply, postJson } from './http-post.ts'

export const PROTOCOLS = ['rest', 'grpc'] as const
export type Protocol = (typeof PROTOCOLS)[number]

export interface InferCall {
  /** `http://127.0.0.1:9000` */
  readonly ingress: URL
  readonly model: string
  /** JSON of a REST inference request. */
  readonly request: string
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number
  /** Whom an `https` ingress is checked by, and what it is shown; absent: by the system's authorities. */
  readonly tls?: WatchedCertificates | undefined
}

export interface InferAnswer {
  /** JSON of a REST inference response, with every tensor's elements as data. */
  readonly response: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
}

const MODEL_HEADER = 'seldon-model'
/** What the ingress or the server said, as a code of ours; a status that is not here is the server's failure. */
const CODE_BY_HTTP_STATUS = {
  400: 'REQUEST_INVALID',
  404: 'NOT_FOUND',
  413: 'REQUEST_TOO_LARGE',
  422: 'REQUEST_INVALID',
  501: 'UNIMPLEMENTED',
  503: 'SERVER_UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
} as const

/** @throws ServingError with the answer's own message, whatever refused the request. */
export function infer(protocol: Protocol, call: InferCall): Promise<InferAnswer> {
  return protocol === 'rest' ? inferRest(call) : inferGrpc(call)
}

/** The request's text goes out as it is, so that what is wrong with it is said by the server. */
async function inferRest(call: InferCall): Promise<InferAnswer> {
  const reply = await postJson({
    url: new URL(`/v2/models/${encodeURIComponent(call.model)}/infer`, call.ingress),
    body: call.request,
    headers: { [MODEL_HEADER]: call.model, ...call.headers },
    timeoutMs: call.timeoutMs,
    tls: call.tls,
  })
  if (reply.status !== 200) throw refusalOf(reply, call)
  const jsonLength = reply.headers[JSON_LENGTH_HEADER]
  const response =
    jsonLength === undefined ? reply.body.toString('utf8') : toJson(parseRestResponse(reply.body, jsonLength))
  return { response, headers: reply.headers }
}

function refusalOf(reply: HttpReply, call: InferCall): ServingError {
  const known = Object.hasOwn(CODE_BY_HTTP_STATUS, reply.status)
  const code = known ? CODE_BY_HTTP_STATUS[reply.status as keyof typeof CODE_BY_HTTP_STATUS] : 'INFERENCE_FAILED'
  return new ServingError(
    code,
    `${call.model} at ${call.ingress.host} answered ${String(reply.status)}: ${sayOf(reply)}`,
  )
}

/** The `error` of a JSON body, else the body itself. */
function sayOf(reply: HttpReply): string {
  const text = reply.body.toString('utf8').trim()
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === 'object' && parsed !== null && 'error' in parsed && typeof parsed.error === 'string')
      return parsed.error
  } catch {
    // no JSON: the text says it
  }
  return text === '' ? '(no body)' : text
}

async function inferGrpc(call: InferCall): Promise<InferAnswer> {
  const request = parseRestRequest(Buffer.from(call.request, 'utf8'))
  const form = request.inputs.every((tensor) => hasTypedContents(tensor.datatype)) ? 'typed' : 'raw'
  const message = toGrpcRequest(request, call.model, form)
  const security = call.ingress.protocol === 'https:' ? toTls(call.tls) : credentials.createInsecure()
  const client = new GRPCInferenceService(grpcAddress(call.ingress), security, GRPC_OPTIONS)
  const headers: Record<string, string> = {}
  try {
    const reply = await new Promise<ModelInferResponse__Output>((resolve, reject) => {
      const options = { deadline: Date.now() + call.timeoutMs }
      const sent = client.modelInfer(message, toMetadata(call), options, (error, response) => {
        if (error === null && response !== undefined) resolve(response)
        else reject(fromGrpcError(error, `${call.model} at ${call.ingress.host}`, 'INGRESS_UNAVAILABLE'))
      })
      sent.on('metadata', (metadata: Metadata) => {
        Object.assign(headers, textOf(metadata))
      })
    })
    return { response: toJson(fromGrpcResponse(reply)), headers }
  } finally {
    client.close()
  }
}

const toTls = (tls: WatchedCertificates | undefined): ChannelCredentials =>
  tls === undefined ? credentials.createSsl() : toChannelCredentials(tls)

function grpcAddress(ingress: URL): string {
  const port = ingress.port === '' ? (ingress.protocol === 'https:' ? '443' : '80') : ingress.port
  return `${ingress.hostname}:${port}`
}

function toMetadata(call: InferCall): Metadata {
  const metadata = new Metadata()
  for (const [name, value] of Object.entries({ [MODEL_HEADER]: call.model, ...call.headers })) metadata.set(name, value)
  return metadata
}

function textOf(metadata: Metadata): Record<string, string> {
  const entries: [string, MetadataValue][] = Object.entries(metadata.getMap())
  return Object.fromEntries(entries.map(([name, value]) => [name, value.toString()]))
}

/** As JSON with the elements inside, whatever form they came in. */
function toJson(response: InferenceResponse): string {
  const nothingBinary = { id: '', parameters: NO_PARAMETERS, inputs: [], outputs: [] }
  return Buffer.concat(toRestResponse(response, nothingBinary).chunks).toString('utf8')
}
