/** A subscription over a gRPC stream. */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { toGrpcStatus } from '../../kit/grpc.ts'
import { startSubscription, type Subscription } from '../operations/subscription.ts'

/** Streams until the subscriber leaves or the server stops. */
export function serveSubscription<Request, Message>(
  stream: ServerWritableStream<Request, Message>,
  subscription: Subscription<Message>,
): void {
  const end = startSubscription(subscription, {
    write: (message) => stream.write(message),
    onceDrained: (goOn) => {
      stream.once('drain', goOn)
    },
    fail: (error) => {
      stream.emit('error', toGrpcStatus(error))
    },
  })
  stream.on('cancelled', end)
  stream.on('close', end)
  stream.on('error', end)
}
