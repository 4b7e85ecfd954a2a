/** Handlers as plain functions: what they return is the answer, what they throw is the status. */
import {
  type handleUnaryCall,
  type sendUnaryData,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js'
import { catalogue, type ErrorCode } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'

type StatusOf = (code: ErrorCode) => number

export const ownStatus: StatusOf = (code) => catalogue[code].grpc

/**
 * Clients of the compatible API take FAILED_PRECONDITION and UNIMPLEMENTED alone as permanent, and repeat everything
 * else; so whatever repeating cannot mend is FAILED_PRECONDITION.
 */
export const compatibleStatus: StatusOf = (code) => {
  const { grpc, retryable } = catalogue[code]
  if (code === 'REMOVAL_REFUSED') return status.ABORTED // repeating helps, once the others are gone
  if (retryable || code === 'UNIMPLEMENTED' || code === 'INVARIANT_BROKEN') return grpc
  return status.FAILED_PRECONDITION
}

export function unary<Request, Response>(
  statusOf: StatusOf,
  handle: (request: Request) => Promise<Response> | Response,
): handleUnaryCall<Request, Response> {
  const answer = async (request: Request, callback: sendUnaryData<Response>): Promise<void> => {
    try {
      callback(null, await handle(request))
    } catch (error) {
      callback(toGrpcStatus(error, statusOf))
    }
  }
  return (call: ServerUnaryCall<Request, Response>, callback: sendUnaryData<Response>) => {
    void answer(call.request, callback)
  }
}

/** A server stream; what the handler throws ends it with its status. */
export function streaming<Request, Message>(
  statusOf: StatusOf,
  handle: (request: Request, stream: ServerWritableStream<Request, Message>) => void,
): (stream: ServerWritableStream<Request, Message>) => void {
  return (stream) => {
    try {
      handle(stream.request, stream)
    } catch (error) {
      stream.emit('error', toGrpcStatus(error, statusOf))
    }
  }
}

/** What each entry converts to, at the pace of the reader, then the end; a conversion that throws ends the stream with its status. */
export function sendMapped<Request, From, Message>(
  stream: ServerWritableStream<Request, Message>,
  entries: Iterable<From>,
  convert: (entry: From) => Message,
): void {
  sendAll(stream, entries, convert).catch((error: unknown) => {
    stream.emit('error', toGrpcStatus(error, compatibleStatus))
  })
}

async function sendAll<Request, From, Message>(
  stream: ServerWritableStream<Request, Message>,
  entries: Iterable<From>,
  convert: (entry: From) => Message,
): Promise<void> {
  for (const entry of entries) {
    if (stream.cancelled || stream.destroyed) return
    if (stream.write(convert(entry))) continue
    await new Promise<void>((resolve) => {
      stream.once('drain', resolve)
      stream.once('cancelled', resolve)
      stream.once('close', resolve)
    })
  }
  stream.end()
}
