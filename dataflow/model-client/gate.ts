/** So many calls at once, so many waiting, the rest refused; without a promise for the call that need not wait. */
export interface Gate {
  /**
   * Runs `begin` now or when it is its turn; `leave` must follow once. `refused`: nothing was taken. The returned function
   * ends the waiting, and says whether it did.
   */
  readonly enter: (begin: () => void) => 'refused' | (() => boolean)
  readonly leave: () => void
  readonly running: () => number
  readonly waiting: () => number
}

export interface GateLimits {
  readonly concurrent: number
  readonly queued: number
}

const HAS_BEGUN = (): boolean => false

export function createGate({ concurrent, queued }: GateLimits): Gate {
  let running = 0
  /** In the order of arrival. */
  const waiting = new Set<() => void>()
  return {
    enter: (begin) => {
      if (running < concurrent) {
        running += 1
        begin()
        return HAS_BEGUN
      }
      if (waiting.size >= queued) return 'refused'
      const own = (): void => {
        begin()
      }
      waiting.add(own)
      return () => waiting.delete(own)
    },
    leave: () => {
      for (const next of waiting) {
        waiting.delete(next)
        next() // takes the place over
        return
      }
      running -= 1
    },
    running: () => running,
    waiting: () => waiting.size,
  }
}
