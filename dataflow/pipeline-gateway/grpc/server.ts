/** Pipelines over gRPC: grpc-js in front of the gateway. */
import { Metadata, type sendUnaryData, Server } from '@grpc/grpc-js'
import type { GRPCInferenceServiceHandlers } from '../../../api/generated/inference/GRPCInferenceService.ts'
import type { ModelInferRequest__Output } from '../../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse } from '../../../api/generated/inference/ModelInferResponse.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../../api/grpc.ts'
import { fromGrpcRequest, toGrpcResponse } from '../../../api/oip/grpc-inference.ts'
import type { InferenceRequest } from '../../../api/oip/inference.ts'
import { toGrpcMetadata } from '../../../api/oip/metadata.ts'
import { ServingError, toServingError } from '../../../kit/errors.ts'
import { ERROR_CODE_KEY, toGrpcStatus } from '../../../kit/grpc.ts'
import { unary, type UnaryCall } from '../../../kit/grpc-unary.ts'
import type { Logger } from '../../../kit/log.ts'
import { ROUTE_HEADER } from '../../journal/topics.ts'
import type { CallHeaders } from '../../model-client/model-client.ts'
import type { Caller } from '../../runner/caller.ts'
import { failureText } from '../../journal/journal-headers.ts'
import {
  type CallFields,
  INTERNAL_MODEL_HEADER,
  isEchoed,
  isPassed,
  MODEL_HEADER,
  pipelineOf,
  REQUEST_ID_HEADER,
  TIMEOUT_HEADER,
  VERSION_HEADER,
} from '../call.ts'
import type { Gateway, InferAnswer } from '../gateway.ts'

export interface GrpcDeps {
  readonly gateway: Gateway
  readonly maxRequestBytes: number
  readonly isAccepting: () => boolean
  readonly log: Logger
}

/** Streams of one connection at the same time; Envoy opens another one beyond. */
const MAX_STREAMS = 4_096
const MAX_DETAILS_CHARS = 4_000

export function createGrpcServer(deps: GrpcDeps): Server {
  const server = new Server({
    ...GRPC_OPTIONS,
    'grpc.max_receive_message_length': deps.maxRequestBytes,
    'grpc.max_concurrent_streams': MAX_STREAMS,
  })
  server.addService(GRPCInferenceService.service, createHandlers(deps))
  return server
}

function createHandlers({ gateway, isAccepting, log }: GrpcDeps): GRPCInferenceServiceHandlers {
  const notHere = (what: string) =>
    unary(log, () => {
      throw new ServingError('UNIMPLEMENTED', `a pipeline gateway has no ${what}`)
    })
  return {
    ModelInfer: (call, callback) => {
      infer(gateway, call, callback)
    },
    ModelReady: unary(log, async (call) => {
      const { ready } = await gateway.ready(nameOf(call, call.request.name))
      return { ready }
    }),
    ModelMetadata: unary(log, async (call) => toGrpcMetadata(await gateway.metadata(nameOf(call, call.request.name)))),
    ServerLive: unary(log, () => ({ live: true })),
    ServerReady: unary(log, () => ({ ready: isAccepting() })),
    ServerMetadata: notHere('server metadata'),
    RepositoryIndex: notHere('repository'),
    RepositoryModelLoad: notHere('repository'),
    RepositoryModelUnload: notHere('repository'),
    ModelStreamInfer(call) {
      call.emit(
        'error',
        toGrpcStatus(
          new ServingError('UNIMPLEMENTED', 'pipelines have no streaming inference: call ModelInfer for each request'),
        ),
      )
    },
  }
}

function infer(
  gateway: Gateway,
  call: UnaryCall<ModelInferRequest__Output, ModelInferResponse>,
  callback: sendUnaryData<ModelInferResponse>,
): void {
  const fields = fieldsOf(call.metadata)
  const passed = passedOf(call.metadata)
  let pipeline: string
  try {
    pipeline = pipelineOf(fields, call.request.modelName)
  } catch (error) {
    callback(toGrpcStatus(error))
    return
  }
  gateway.infer(
    { pipeline, method: 'grpc', fields, passed, caller: new CallCaller(call), protocolTimeoutMs: leftMs(call) },
    (onRead) => {
      onRead(toRequest(call.request))
    },
    (answer) => {
      send(answer, passed, call, callback)
    },
  )
}

function toRequest(message: ModelInferRequest__Output): InferenceRequest | ServingError {
  try {
    return fromGrpcRequest(message)
  } catch (error) {
    return toServingError(error)
  }
}

function send(
  { end, requestId, version }: InferAnswer,
  passed: CallHeaders,
  call: UnaryCall<ModelInferRequest__Output, ModelInferResponse>,
  callback: sendUnaryData<ModelInferResponse>,
): void {
  const metadata = new Metadata()
  for (const [name, value] of passed) if (isEchoed(name)) metadata.add(name, value)
  metadata.set(REQUEST_ID_HEADER, requestId)
  if (version !== 0) metadata.set(VERSION_HEADER, String(version))
  if (end.kind === 'failed') {
    metadata.set(ERROR_CODE_KEY, end.failure.code)
    const details = failureText(end.failure).slice(0, MAX_DETAILS_CHARS)
    callback({ code: end.failure.grpcStatus, details, metadata })
    return
  }
  for (const route of end.routes) metadata.add(ROUTE_HEADER, route)
  call.sendMetadata(metadata)
  // A client that sends raw contents can read them; what has no typed contents is sent raw to anybody.
  callback(null, toGrpcResponse(end.response, call.request.rawInputContents.length > 0 ? 'raw' : 'typed'))
}

const nameOf = (call: UnaryCall<unknown, unknown>, messageName: string): string =>
  pipelineOf(fieldsOf(call.metadata), messageName)

function fieldsOf(metadata: Metadata): CallFields {
  const lastOf = (name: string): string | undefined => metadata.get(name).at(-1)?.toString()
  return {
    internalModel: lastOf(INTERNAL_MODEL_HEADER),
    model: lastOf(MODEL_HEADER),
    requestId: metadata.get(REQUEST_ID_HEADER)[0]?.toString(),
    timeoutMs: lastOf(TIMEOUT_HEADER),
  }
}

function passedOf(metadata: Metadata): CallHeaders {
  return Object.keys(metadata.getMap()).flatMap((name) =>
    isPassed(name) && name !== REQUEST_ID_HEADER && !name.endsWith('-bin')
      ? metadata.get(name).map((value) => [name, String(value)] as const)
      : [],
  )
}

/** Gone when the client cancels, goes away or its deadline passes. */
class CallCaller implements Caller {
  isGone: boolean
  onGone: (() => void) | undefined = undefined

  constructor(call: UnaryCall<unknown, unknown>) {
    this.isGone = call.cancelled
    call.once('cancelled', () => {
      this.isGone = true
      this.onGone?.()
    })
  }
}

/** What is left of the deadline that the client gave; Infinity: it gave none. */
function leftMs(call: UnaryCall<unknown, unknown>): number {
  const deadline = call.getDeadline()
  return Math.max(Number(deadline) - Date.now(), 0)
}
