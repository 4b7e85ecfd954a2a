/**
 * A stream of states to one subscriber. What waits is a set of names, never a queue of messages: a slow subscriber skips
 * states and gets the newest, and one that takes nothing for 30 s is dropped, to come back and be told everything.
 */
import type { ServerWritableStream } from '@grpc/grpc-js'
import { ServingError } from '../../kit/errors.ts'
import { toGrpcStatus } from '../../kit/grpc.ts'
import type { DocumentChange } from '../domain/document-change.ts'
import type { Feed } from '../loop/feed.ts'

const SEND_DEADLINE_MS = 30_000

export interface Subscription<Message> {
  readonly feed: Feed
  /** The state of now, before anything else. */
  readonly replay: Iterable<string>
  /** What a change concerns; `before` is kept for names that are gone. */
  readonly namesOf: (change: DocumentChange) => Iterable<string>
  /** The message about a name; `last` is the newest change of that name's own document. Undefined: nothing to say. */
  readonly render: (name: string, last: DocumentChange | undefined) => Message | undefined
  /** Changes within this time become one message. */
  readonly delayMs: number
}

/** Streams until the subscriber leaves or the server stops. */
export function serveSubscription<Request, Message>(
  stream: ServerWritableStream<Request, Message>,
  subscription: Subscription<Message>,
): void {
  const pending = new Map<string, DocumentChange | undefined>()
  let delayed: NodeJS.Timeout | undefined
  let blocked: NodeJS.Timeout | undefined

  function flush(): void {
    delayed = undefined
    for (const [name, change] of pending) {
      if (blocked !== undefined) return
      pending.delete(name)
      const message = subscription.render(name, change)
      if (message !== undefined && !stream.write(message)) waitForDrain()
    }
  }

  function waitForDrain(): void {
    blocked = setTimeout(() => {
      const slow = new ServingError('DEADLINE_EXCEEDED', 'the subscriber takes no messages: subscribe again')
      stream.emit('error', toGrpcStatus(slow))
    }, SEND_DEADLINE_MS)
    stream.once('drain', () => {
      clearTimeout(blocked)
      blocked = undefined
      flush()
    })
  }

  const unsubscribe = subscription.feed.subscribe((changes) => {
    for (const change of changes)
      for (const name of subscription.namesOf(change)) {
        pending.delete(name) // the newest state goes to the end
        pending.set(name, change)
      }
    if (pending.size > 0) delayed ??= setTimeout(flush, subscription.delayMs)
  })
  const end = (): void => {
    unsubscribe()
    clearTimeout(delayed)
    clearTimeout(blocked)
    pending.clear()
  }
  stream.on('cancelled', end)
  stream.on('close', end)
  stream.on('error', end)
  for (const name of subscription.replay) pending.set(name, undefined)
  flush()
}
