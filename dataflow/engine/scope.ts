/**
 * What runs of one pipeline here. When somebody else is to go on with it nothing more begins, and what began has ended, with
 * everything that it recorded acknowledged, before the next one reads: so a hand-over makes nothing twice.
 */
import { atMost } from '../../kit/deadline.ts'

export interface Scope {
  /** Ends what runs. */
  readonly signal: AbortSignal
  /** Of something that begins; the returned is to be called when everything that it causes is acknowledged. Undefined: it may not begin. */
  readonly enter: () => (() => void) | undefined
  /** Resolves when all has ended; what has not after `waitMs` is ended by the signal. */
  readonly leave: (waitMs: number) => Promise<void>
}

/** @param stopping ends what runs as well */
export function createScope(stopping: AbortSignal): Scope {
  const cut = new AbortController()
  const signal = AbortSignal.any([stopping, cut.signal])
  let isLeaving = false
  let running = 0
  let onIdle: (() => void) | undefined
  const look = (): void => {
    if (running === 0) onIdle?.()
  }
  return {
    signal,
    enter: () => {
      if (isLeaving || signal.aborted) return undefined
      running += 1
      return () => {
        running -= 1
        look()
      }
    },
    leave: async (waitMs) => {
      isLeaving = true
      const idle = new Promise<void>((resolve) => {
        onIdle = resolve
      })
      look()
      await atMost(waitMs, idle)
      cut.abort()
      await idle
    },
  }
}
