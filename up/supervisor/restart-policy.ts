import { backoffMs } from '../../kit/backoff.ts'

/** Jittered in its upper half, so every delay lies between 0.2 and 5 s. */
const RESTART_BACKOFF = { minMs: 400, maxMs: 5_000 } as const
/** A process that lived this long has recovered: its next death starts from the shortest delay. */
export const STABLE_AFTER_MS = 10_000

export interface Restart {
  readonly delayMs: number
  /** To be given for the next death. */
  readonly attempt: number
}

/** When to start a process again that died after `uptimeMs`, the `attempt`th time in short succession. */
export function planRestart(attempt: number, uptimeMs: number, random?: () => number): Restart {
  const effective = uptimeMs >= STABLE_AFTER_MS ? 0 : attempt
  return { delayMs: Math.round(backoffMs(effective, RESTART_BACKOFF, random)), attempt: effective + 1 }
}
