import { pause } from '../../kit/backoff.ts'

const LOOK_EVERY_MS = 100

/**
 * Runs `check` again and again until so long has passed since `sinceMs`, at least once; the first failure is thrown. For
 * "this stays so for that long", where nothing happens that could be waited for.
 */
export async function holds(forMs: number, sinceMs: number, check: () => Promise<void> | void): Promise<void> {
  const never = new AbortController().signal
  do {
    await check()
    await pause(LOOK_EVERY_MS, never)
  } while (Date.now() < sinceMs + forMs)
}
