/** Waiting for a condition without polling: whoever changes something calls `look`. */
export interface Waiters {
  /** Asks every waiting predicate again. */
  look(): void
  until(what: string | (() => string), predicate: () => boolean, deadlineMs?: number): Promise<void>
}

export function createWaiters(): Waiters {
  const waiting = new Set<() => void>()
  return {
    look() {
      for (const check of waiting) check()
    },
    until(what, predicate, deadlineMs = 60_000) {
      if (predicate()) return Promise.resolve()
      return new Promise((resolve, reject) => {
        const check = (): void => {
          if (!predicate()) return
          clearTimeout(deadline)
          waiting.delete(check)
          resolve()
        }
        const deadline = setTimeout(() => {
          waiting.delete(check)
          reject(new Error(`waited ${String(deadlineMs)} ms for ${typeof what === 'string' ? what : what()}`))
        }, deadlineMs)
        waiting.add(check)
      })
    },
  }
}
