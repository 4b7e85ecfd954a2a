/** What a pipeline gateway calls as Envoy's ingress: models by name, as functions over numbers, that a test may hold or break. */
import { Metadata, Server, type sendUnaryData, type ServerUnaryCall, status } from '@grpc/grpc-js'
import type { ModelInferRequest__Output } from '../../api/generated/inference/ModelInferRequest.ts'
import type { ModelInferResponse } from '../../api/generated/inference/ModelInferResponse.ts'
import { GRPC_OPTIONS, GRPCInferenceService } from '../../api/grpc.ts'
import { decodeElements, encodeElements } from '../../api/oip/elements.ts'
import { fromGrpcRequest, toGrpcResponse } from '../../api/oip/grpc-inference.ts'
import { serveGrpc } from '../../kit/grpc.ts'
import { startHttp1Grpc } from './http1-grpc.ts'
import { createWaiters } from './waiters.ts'

type Numbers = Readonly<Record<string, readonly number[]>>
/** What a model makes of FP32 tensors; a thrown status is answered as such. */
export type FakeModel = (inputs: Numbers) => Numbers | Promise<Numbers>

export interface FakeIngress {
  readonly address: string
  readonly models: Map<string, FakeModel>
  /** Calls that have arrived, in their order. */
  readonly calls: readonly { readonly model: string; readonly metadata: Metadata; readonly inputs: Numbers }[]
  /** Calls that were cancelled. */
  readonly cancelled: readonly string[]
  until(what: string, predicate: () => boolean): Promise<void>
  stop(): Promise<void>
}

export const refusal = (code: number, details: string) => Object.assign(new Error(details), { code, details })

type Call = ServerUnaryCall<ModelInferRequest__Output, ModelInferResponse>

export async function startFakeIngress(): Promise<FakeIngress> {
  const models = new Map<string, FakeModel>()
  const calls: { model: string; metadata: Metadata; inputs: Numbers }[] = []
  const cancelled: string[] = []
  const waiters = createWaiters()

  const infer = async (call: Call, callback: sendUnaryData<ModelInferResponse>): Promise<void> => {
    const model = String(call.metadata.get('seldon-model')[0])
    const request = fromGrpcRequest(call.request)
    const inputs = Object.fromEntries(request.inputs.map((tensor) => [tensor.name, decodeElements(tensor).map(Number)]))
    calls.push({ model, metadata: call.metadata, inputs })
    call.once('cancelled', () => {
      cancelled.push(model)
      waiters.look()
    })
    waiters.look()
    const work = models.get(model)
    if (work === undefined) {
      callback({ code: status.UNIMPLEMENTED, details: `model "${model}" is not available` })
      return
    }
    try {
      const outputs = Object.entries(await work(inputs)).map(([name, values]) => ({
        name,
        datatype: 'FP32' as const,
        shape: [values.length],
        parameters: {},
        bytes: encodeElements(name, 'FP32', values),
      }))
      const metadata = new Metadata()
      metadata.set('x-seldon-route', `:${model}_1:`)
      call.sendMetadata(metadata)
      callback(
        null,
        toGrpcResponse({ modelName: `${model}_1`, modelVersion: '1', id: request.id, parameters: {}, outputs }, 'raw'),
      )
    } catch (error) {
      callback(error as Error)
    }
  }

  const server = new Server(GRPC_OPTIONS)
  server.addService(GRPCInferenceService.service, {
    ModelInfer: (call: Call, callback: sendUnaryData<ModelInferResponse>) => void infer(call, callback),
    ModelReady: (
      call: ServerUnaryCall<{ name: string }, { ready: boolean }>,
      callback: sendUnaryData<{ ready: boolean }>,
    ) => {
      callback(null, { ready: models.has(call.request.name) })
    },
    ModelMetadata: (call: ServerUnaryCall<{ name: string }, object>, callback: sendUnaryData<object>) => {
      const tensor = (name: string) => ({ name, datatype: 'FP32', shape: [-1] })
      if (!models.has(call.request.name)) callback({ code: status.UNIMPLEMENTED, details: 'not available' })
      else
        callback(null, {
          name: call.request.name,
          platform: 'fake',
          inputs: [tensor('INPUT')],
          outputs: [tensor('OUTPUT')],
        })
    },
  })
  const grpc = await serveGrpc(server, '127.0.0.1', 0, 100)
  const http1 = await startHttp1Grpc(grpc.port)
  return {
    address: `http://127.0.0.1:${String(http1.port)}`,
    models,
    calls,
    cancelled,
    until: (what, predicate) => waiters.until(what, predicate),
    stop: async () => {
      await http1.stop()
      await grpc.stop()
    },
  }
}
