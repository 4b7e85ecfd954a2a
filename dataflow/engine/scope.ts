/**
 * What runs of one pipeline here. When somebody else is to go on with it nothing more begins, and what began has ended, with
 * everything that it recorded acknowledged, before the next one reads: so a hand-over makes nothing twice.
 */
import { atMost } from '../../kit/deadline.ts'
import { type Placed, PlacedList } from '../../kit/placed-list.ts'
import type { Caller } from '../runner/caller.ts'

export interface Scope {
  /** Ends what runs. */
  readonly signal: AbortSignal
  /** Of something that begins. Undefined: it may not begin. */
  readonly enter: () => Stay | undefined
  /** Resolves when all has ended; what has not after `waitMs` is ended by the signal. */
  readonly leave: (waitMs: number) => Promise<void>
}

/** Something that runs; gone when what runs is ended. */
export interface Stay extends Caller {
  /** Once, when everything that it causes is acknowledged. */
  readonly leave: () => void
}

/** @param stopping ends what runs as well */
export function createScope(stopping: AbortSignal): Scope {
  const cut = new AbortController()
  const signal = AbortSignal.any([stopping, cut.signal])
  const staying = new PlacedList<OneStay>() // a listener of the signal for each would keep those that came after it
  let isLeaving = false
  let running = 0
  let onIdle: (() => void) | undefined
  const look = (): void => {
    if (running === 0) onIdle?.()
  }
  const left = (one: OneStay): void => {
    staying.delete(one)
    running -= 1
    look()
  }
  signal.addEventListener('abort', () => {
    for (const one of staying.takeAll()) one.end()
  })
  return {
    signal,
    enter: () => {
      if (isLeaving || signal.aborted) return undefined
      const one = new OneStay(left)
      staying.add(one)
      running += 1
      return one
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

class OneStay implements Stay, Placed {
  place = -1
  isGone = false
  onGone: (() => void) | undefined
  readonly #left: (one: OneStay) => void

  constructor(left: (one: OneStay) => void) {
    this.#left = left
  }

  end(): void {
    this.isGone = true
    this.onGone?.()
  }

  leave(): void {
    this.#left(this)
  }
}
