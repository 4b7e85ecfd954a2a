/** Unary gRPC handlers as plain functions: what they return is the answer, what they throw is the status. */
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js'
import { toServingError } from './errors.ts'
import { toGrpcStatus } from './grpc.ts'
import type { Logger } from './log.ts'

export type UnaryCall<Question, Answer> = ServerUnaryCall<Question, Answer>

export function unary<Question, Answer>(
  log: Logger,
  work: (call: UnaryCall<Question, Answer>) => Answer | Promise<Answer>,
): (call: UnaryCall<Question, Answer>, callback: sendUnaryData<Answer>) => void {
  const answer = async (call: UnaryCall<Question, Answer>, callback: sendUnaryData<Answer>): Promise<void> => {
    try {
      callback(null, await work(call))
    } catch (error) {
      const failure = toServingError(error)
      if (failure.code === 'INVARIANT_BROKEN') log.error({ error: failure.message }, 'request failed')
      callback(toGrpcStatus(failure))
    }
  }
  return (call, callback) => {
    void answer(call, callback)
  }
}

/** Aborts when the client cancels, goes away or its deadline passes. */
export function goneSignal(call: UnaryCall<unknown, unknown>): AbortSignal {
  const controller = new AbortController()
  call.once('cancelled', () => {
    controller.abort()
  })
  if (call.cancelled) controller.abort()
  return controller.signal
}
