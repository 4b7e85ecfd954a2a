/** The gRPC interface: grpc-js in front of the repository. */
import { Server } from '@grpc/grpc-js'
import type { GRPCInferenceServiceHandlers } from '../../api/generated/inference/GRPCInferenceService.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { fromGrpcRequest, toGrpcResponse } from '../../api/oip/grpc-inference.ts'
import { toGrpcMetadata } from '../../api/oip/metadata.ts'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import { goneSignal, unary, type UnaryCall } from '../../kit/grpc-unary.ts'
import type { Deps } from '../deps.ts'
import { INTERNAL_NAME_KEY, lastOf } from '../internal-name.ts'

export function createGrpcServer(deps: Deps): Server {
  const server = new Server({ ...GRPC_OPTIONS, 'grpc.max_receive_message_length': deps.limits.maxRequestBytes })
  server.addService(GRPCInferenceService.service, createHandlers(deps))
  return server
}

function createHandlers({ repository, isReady, identity, log }: Deps): GRPCInferenceServiceHandlers {
  return {
    ModelInfer: unary(log, async (call) => {
      const request = fromGrpcRequest(call.request)
      const response = await repository.infer(targetOf(call, call.request.modelName), request, goneSignal(call))
      // A client that sends raw contents can read them; what has no typed contents is sent raw to anybody.
      return toGrpcResponse(response, call.request.rawInputContents.length > 0 ? 'raw' : 'typed')
    }),
    ModelMetadata: unary(log, (call) => toGrpcMetadata(repository.metadata(targetOf(call, call.request.name)))),
    ModelReady: unary(log, (call) => ({ ready: repository.isReady(targetOf(call, call.request.name)) })),
    ServerLive: unary(log, () => ({ live: true })),
    ServerReady: unary(log, () => ({ ready: isReady() })),
    ServerMetadata: unary(log, () => identity),
    RepositoryIndex: unary(log, async (call) => {
      const entries = await repository.index()
      return { models: entries.filter((entry) => !call.request.ready || entry.state === 'READY') }
    }),
    RepositoryModelLoad: unary(log, async (call) => {
      await repository.load(call.request.modelName)
      return {}
    }),
    RepositoryModelUnload: unary(log, async (call) => {
      await repository.unload(call.request.modelName)
      return {}
    }),
    ModelStreamInfer(call) {
      call.emit('error', toGrpcStatus(new ServingError('UNIMPLEMENTED', 'this server has no streaming inference')))
    },
  }
}

/** The internal name that Envoy adds, else the name in the message. */
function targetOf(call: UnaryCall<unknown, unknown>, messageName: string): string {
  return lastOf(call.metadata.get(INTERNAL_NAME_KEY).map(String)) ?? messageName
}
