/**
 * Calls models through Envoy's ingress, as any client does, so that placement, rollouts and experiments hold for steps too.
 * gRPC with raw contents: tensors are passed by reference in both directions, and both kinds of model servers take it. Calls of
 * one model are bounded: so many at once, so many waiting, the rest refused.
 */
import { GRPCInferenceService, MAX_MESSAGE_BYTES } from '../../api/grpc.ts'
import type { InferenceRequest, InferenceResponse } from '../../api/oip/inference.ts'
import { fromGrpcMetadata, type ModelMetadata } from '../../api/oip/metadata.ts'
import type { Certificates } from '../../kit/certificates.ts'
import { DueList } from '../../kit/due-list.ts'
import { createConnections } from './connections.ts'
import { Gate, type GateLimits } from './gate.ts'
import { decodeInferResponse, encodeInferRequest } from './infer-codec.ts'
import { type ModelFailure, ownFailure } from './model-failure.ts'
import { callUnary, type Channel, headStart, type UnaryCall, type UnaryEnd } from './unary-call.ts'

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
  const nowMs = (): number => performance.now()
  const connections = createConnections(ingress, count, tls)
  const channel: Channel = { connections, deadlines: new DueList(nowMs), nowMs }
  const authority = new URL(ingress).host
  const start = headStart(ModelInfer.path, authority)
  /** One for each model that any loaded plan has named. */
  const gates = new Map<string, Gate<InferCall>>()

  const gateOf = (model: string): Gate<InferCall> => {
    const known = gates.get(model)
    if (known !== undefined) return known
    const gate = new Gate<InferCall>(limits, (call) => {
      call.begin(channel, start)
    })
    gates.set(model, gate)
    return gate
  }

  const ask = (path: string, model: string, message: Uint8Array, timeoutMs: number): Promise<UnaryEnd> =>
    new Promise((resolve) => {
      const start = headStart(path, authority)
      const parts = [message]
      callUnary(channel, { start, model, headers: [], parts, timeoutMs, maxAnswerBytes: MAX_MESSAGE_BYTES }, resolve)
    })

  return {
    infer: (call, onEnd) => new InferCall(gateOf(call.model), call, onEnd).cancel,
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

class InferCall {
  readonly #gate: Gate<InferCall>
  readonly #call: ModelCall
  readonly #onEnd: (end: ModelEnd) => void
  #sent: UnaryCall | undefined
  #isOver = false

  constructor(gate: Gate<InferCall>, call: ModelCall, onEnd: (end: ModelEnd) => void) {
    this.#gate = gate
    this.#call = call
    this.#onEnd = onEnd
    if (!gate.enter(this)) this.#refuse()
  }

  /** Of the gate alone. */
  begin(channel: Channel, start: string): void {
    const { request, model, headers, timeoutMs } = this.#call
    const parts = encodeInferRequest(request, model)
    const unary = { start, model, headers, parts, timeoutMs, maxAnswerBytes: MAX_MESSAGE_BYTES }
    this.#sent = callUnary(channel, unary, (end) => {
      this.#isOver = true
      this.#gate.leave()
      this.#onEnd(toModelEnd(end))
    })
  }

  readonly cancel = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    if (this.#gate.abandon(this)) return
    this.#sent?.cancel()
    this.#gate.leave()
  }

  #refuse(): void {
    const { running, waiting } = this.#gate
    const counts = `${String(running)} calls running and ${String(waiting)} waiting`
    const failure = ownFailure('SERVER_OVERLOADED', `model ${this.#call.model} already has ${counts} here`)
    queueMicrotask(() => {
      if (!this.#isOver) this.#onEnd({ kind: 'failed', failure })
    })
  }
}

function toModelEnd(end: UnaryEnd): ModelEnd {
  if (end.kind === 'failed') return end
  try {
    return { kind: 'answered', response: decodeInferResponse(end.message), routes: end.routes }
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { kind: 'failed', failure: ownFailure('PEER_FAILED', `its answer cannot be read: ${reason}`) }
  }
}
