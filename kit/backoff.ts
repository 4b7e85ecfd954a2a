import { setTimeout as sleep } from 'node:timers/promises'

export interface Backoff {
  readonly minMs: number
  readonly maxMs: number
}

/** Exponential back-off with full jitter in its upper half: attempt 0 gives minMs/2..minMs, doubling up to maxMs. */
export function backoffMs(attempt: number, { minMs, maxMs }: Backoff, random: () => number = Math.random): number {
  const ceiling = Math.min(maxMs, minMs * 2 ** Math.min(attempt, 30))
  return ceiling / 2 + random() * (ceiling / 2)
}

/** Waits, or returns early when the signal aborts; never throws. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  await sleep(ms, undefined, { signal }).catch(() => undefined) // aborting is an expected ending
}

/** Runs `work` every `ms` until the signal aborts. The next run starts `ms` after the last one ended. */
export async function everyMs(ms: number, signal: AbortSignal, work: () => Promise<void> | void): Promise<void> {
  while (!signal.aborted) {
    await work()
    await pause(ms, signal)
  }
}
