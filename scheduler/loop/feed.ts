/** Who watches documents: a bounded set of keys that changed per watcher, never a queue of changes. */
import { ServingError } from '../../kit/errors.ts'
import type { DocumentChange } from '../domain/document-change.ts'

/** Called with what a commit changed, as committed. Must not throw and must not keep what it is given. */
export type Listener = (changes: readonly DocumentChange[]) => void

export interface Feed {
  readonly publish: Listener
  /** Of a part of the scheduler. Returns how to stop listening. */
  readonly subscribe: (listener: Listener) => () => void
  /** The same for a client, of which there is a most. @throws ServingError TOO_MANY_WATCHES */
  readonly watch: (listener: Listener) => () => void
  /** Before something is promised that `watch` would refuse. @throws ServingError TOO_MANY_WATCHES */
  readonly refuseWhenFull: () => void
  /** How many clients watch. */
  readonly watches: () => number
}

export function createFeed(maxWatches: number): Feed {
  const listeners = new Set<Listener>()
  const watching = new Set<Listener>()
  const refuseWhenFull = (): void => {
    if (watching.size < maxWatches) return
    throw new ServingError(
      'TOO_MANY_WATCHES',
      `${String(maxWatches)} clients watch this scheduler already: end some, or raise --max-watches`,
    )
  }
  const join = (set: Set<Listener>, listener: Listener): (() => void) => {
    set.add(listener)
    return () => set.delete(listener)
  }
  return {
    publish: (changes) => {
      for (const listener of listeners) listener(changes)
      for (const listener of watching) listener(changes)
    },
    subscribe: (listener) => join(listeners, listener),
    watch: (listener) => {
      refuseWhenFull()
      return join(watching, listener)
    },
    refuseWhenFull,
    watches: () => watching.size,
  }
}
