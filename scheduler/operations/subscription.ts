/**
 * A stream of states to one subscriber. What waits is a set of names, never a queue of messages: a slow subscriber skips
 * states and gets the newest, and one that takes nothing for 30 s is dropped, to come back and be told everything.
 */
import { ServingError } from '../../kit/errors.ts'
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

/** Where messages go, whatever carries them. */
export interface Sink<Message> {
  /** False: take no more before the drain. */
  readonly write: (message: Message) => boolean
  readonly onceDrained: (goOn: () => void) => void
  /** The subscriber is dropped. */
  readonly fail: (error: ServingError) => void
  /** All that was to be said up to now has been written. */
  readonly caughtUp?: () => void
}

/**
 * Streams until `end`, which is what this returns, is called: when the subscriber leaves or the server stops.
 * @throws ServingError TOO_MANY_WATCHES
 */
export function startSubscription<Message>(subscription: Subscription<Message>, sink: Sink<Message>): () => void {
  const pending = new Map<string, DocumentChange | undefined>()
  let delayed: NodeJS.Timeout | undefined
  let blocked: NodeJS.Timeout | undefined
  let isOver = false

  function flush(): void {
    delayed = undefined
    for (const [name, change] of pending) {
      if (blocked !== undefined || isOver) return
      pending.delete(name)
      const message = subscription.render(name, change)
      if (message !== undefined && !sink.write(message)) waitForDrain()
    }
    if (!isOver) sink.caughtUp?.()
  }

  function waitForDrain(): void {
    blocked = setTimeout(() => {
      sink.fail(new ServingError('DEADLINE_EXCEEDED', 'the subscriber takes no messages: subscribe again'))
    }, SEND_DEADLINE_MS)
    sink.onceDrained(() => {
      clearTimeout(blocked)
      blocked = undefined
      flush()
    })
  }

  const unsubscribe = subscription.feed.watch((changes) => {
    for (const change of changes)
      for (const name of subscription.namesOf(change)) {
        pending.delete(name) // the newest state goes to the end
        pending.set(name, change)
      }
    if (pending.size > 0) delayed ??= setTimeout(flush, subscription.delayMs)
  })
  for (const name of subscription.replay) pending.set(name, undefined)
  flush()
  return () => {
    isOver = true
    unsubscribe()
    clearTimeout(delayed)
    clearTimeout(blocked)
    pending.clear()
  }
}
