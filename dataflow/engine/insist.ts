import { type Backoff, backoffMs, pause } from '../../kit/backoff.ts'
import { toServingError } from '../../kit/errors.ts'
import type { Logger } from '../../kit/log.ts'

export interface Insist {
  /** Said in the log when it failed. */
  readonly what: string
  readonly pipeline: string
  /** Ends it. */
  readonly signal: AbortSignal
  readonly log: Logger
}

const AGAIN: Backoff = { minMs: 500, maxMs: 10_000 }

/** Works until it succeeds; false: the signal came before. */
export async function insist(
  { what, pipeline, signal, log }: Insist,
  work: (isAgain: boolean) => Promise<void>,
): Promise<boolean> {
  for (let attempt = 0; !signal.aborted; attempt += 1) {
    try {
      await work(attempt > 0)
      return true
    } catch (error) {
      if (signal.aborted) break
      log.warn({ pipeline, error: toServingError(error).message }, what)
      await pause(backoffMs(attempt, AGAIN), signal)
    }
  }
  return false
}
