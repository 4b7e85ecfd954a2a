/** Who watches documents: a bounded set of keys that changed per watcher, never a queue of changes. */
import type { DocumentChange } from '../domain/document-change.ts'

/** Called with what a commit changed, as committed. Must not throw and must not keep what it is given. */
export type Listener = (changes: readonly DocumentChange[]) => void

export interface Feed {
  readonly publish: Listener
  /** Returns how to stop listening. */
  readonly subscribe: (listener: Listener) => () => void
  readonly size: () => number
}

export function createFeed(): Feed {
  const listeners = new Set<Listener>()
  return {
    publish: (changes) => {
      for (const listener of listeners) listener(changes)
    },
    subscribe: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    size: () => listeners.size,
  }
}
