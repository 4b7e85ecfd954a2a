/**
 * Calls models through Envoy's ingress, as any client does, so that placement, rollouts and experiments hold for steps too.
 * gRPC with raw contents: tensors are passed by reference in both directions, and both kinds of model servers take it. Calls of
 * one model are bounded: so many at once, so many waiting, the rest refused.
 */
import { GRPCInferenceService, MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { fromGrpcMetadata, type ModelMetadata } from '../../api/oip/metadata.ts'
import type { Certificates } from '../../kit/certificates.ts'
import { ROUTE_HEADER } from '../journal/topics.ts'
import { createConnections } from './connections.ts'
import { createGate, type Gate, type GateLimits } from './gate.ts'
import { decodeInferResponse, encodeInferRequest } from './infer-codec.ts'
import { type ModelFailure, ownFailure } from './model-failure.ts'
import { callUnary, type UnaryEnd } from './unary-call.ts'

/** Lower-case names; a name may come several times. */
export type CallHeaders = readonly (readonly [name: string, value: string])[]

export interface ModelCall {
  readonly model: string
  readonly request: InferenceRequest
  readonly headers: CallHeaders
  readonly timeoutMs: number
}

export type ModelEnd =
  | {
      readonly kind: 'answered'
      readonly response: InferenceResponse
      /** Values of `x-seldon-route` of the answer. */
      readonly routes: readonly string[]
    }
  | { readonly kind: 'failed'; readonly failure: ModelFailure }

export interface ModelClient {
  /** `onEnd` is called exactly once, never before this returns, unless the returned function, which ends the call, was called. */
  readonly infer: (call: ModelCall, onEnd: (end: ModelEnd) => void) => () => void
  readonly metadata: (model: string, timeoutMs: number) => Promise<ModelMetadata | ModelFailure>
  readonly isReady: (model: string, timeoutMs: number) => Promise<boolean>
  /** Ends what is in flight. */
  readonly close: () => void
}

export interface ModelClientOptions {
  /** URL of Envoy's ingress. */
  readonly ingress: string
  /** What is shown and trusted where it speaks TLS, at this moment. */
  readonly tls: () => Certificates | undefined
  readonly connections: number
  /** Of each model. */
  readonly limits: GateLimits
}

const { ModelInfer, ModelMetadata: MetadataMethod, ModelReady } = GRPCInferenceService.service

export function createModelClient({ ingress, tls, connections: count, limits }: ModelClientOptions): ModelClient {
  const connections = createConnections(ingress, count, tls)
  const authority = new URL(ingress).host
  /** One for each model that any loaded plan has named. */
  const gates = new Map<string, Gate>()

  const gateOf = (model: string): Gate => {
    const known = gates.get(model)
    if (known !== undefined) return known
    const gate = createGate(limits)
    gates.set(model, gate)
    return gate
  }

  const inferNow = (call: ModelCall, onEnd: (end: ModelEnd) => void): (() => void) =>
    callUnary(
      connections,
      {
        path: ModelInfer.path,
        headers: toHeaders(authority, call.model, call.headers),
        parts: encodeInferRequest(call.request, call.model),
        timeoutMs: call.timeoutMs,
        maxAnswerBytes: MAX_MESSAGE_BYTES,
      },
      (end) => {
        onEnd(toModelEnd(end))
      },
    )

  const ask = (path: string, model: string, message: Uint8Array, timeoutMs: number): Promise<UnaryEnd> =>
    new Promise((resolve) => {
      const headers = toHeaders(authority, model, [])
      callUnary(connections, { path, headers, parts: [message], timeoutMs, maxAnswerBytes: MAX_MESSAGE_BYTES }, resolve)
    })

  return {
    infer: (call, onEnd) => {
      const gate = gateOf(call.model)
      let cancelCall: (() => void) | undefined
      let isOver = false
      const leaveWaiting = gate.enter(() => {
        cancelCall = inferNow(call, (end) => {
          isOver = true
          gate.leave()
          onEnd(end)
        })
      })
      if (leaveWaiting === 'refused') {
        const counts = `${String(gate.running())} calls running and ${String(gate.waiting())} waiting`
        const failure = ownFailure('SERVER_OVERLOADED', `model ${call.model} already has ${counts} here`)
        queueMicrotask(() => {
          if (!isOver) onEnd({ kind: 'failed', failure })
        })
        return () => {
          isOver = true
        }
      }
      return () => {
        if (isOver) return
        isOver = true
        if (leaveWaiting()) return
        cancelCall?.()
        gate.leave()
      }
    },
    metadata: async (model, timeoutMs) => {
      const message = MetadataMethod.requestSerialize({ name: model })
      const end = await ask(MetadataMethod.path, model, message, timeoutMs)
      return end.kind === 'failed' ? end.failure : fromGrpcMetadata(MetadataMethod.responseDeserialize(end.message))
    },
    isReady: async (model, timeoutMs) => {
      const message = ModelReady.requestSerialize({ name: model })
      const end = await ask(ModelReady.path, model, message, timeoutMs)
      return end.kind === 'answered' && ModelReady.responseDeserialize(end.message).ready
    },
    close: connections.destroy,
  }
}

function toModelEnd(end: UnaryEnd): ModelEnd {
  if (end.kind === 'failed') return end
  try {
    return {
      kind: 'answered',
      response: decodeInferResponse(end.message),
      routes: end.headers.flatMap(([name, value]) => (name === ROUTE_HEADER ? [value] : [])),
    }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { kind: 'failed', failure: ownFailure('PEER_FAILED', `its answer cannot be read: ${reason}`) }
  }
}

const toHeaders = (host: string, model: string, passed: CallHeaders): CallHeaders => [
  ['host', host],
  ['seldon-model', model],
  ...passed,
]
