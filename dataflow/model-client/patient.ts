/**
 * Calls of models for which nobody waits: a model that is not there, loads, is overloaded, or whose ingress cannot be reached means
 * waiting, not an error, for as long as the call may take. Whatever may have reached a model is not asked again.
 */
import { backoffMs } from '../../kit/backoff.ts'
import type { ModelClient } from './model-client.ts'
import { isUntouched, UNTOUCHED_AGAIN } from './untouched.ts'

export type Infer = Pick<ModelClient, 'infer'>

export function waitForModels(models: Infer, nowMs: () => number): Infer {
  return {
    infer: (call, onEnd) => {
      const giveUpAtMs = nowMs() + call.timeoutMs
      let cancel = (): void => undefined
      let again: NodeJS.Timeout | undefined
      const ask = (attempt: number): void => {
        const timeoutMs = attempt === 0 ? call.timeoutMs : Math.max(giveUpAtMs - nowMs(), 0)
        cancel = models.infer({ ...call, timeoutMs }, (end) => {
          const waitMs = backoffMs(attempt, UNTOUCHED_AGAIN)
          if (end.kind === 'answered' || !isUntouched(end.failure) || nowMs() + waitMs >= giveUpAtMs) onEnd(end)
          else
            again = setTimeout(() => {
              ask(attempt + 1)
            }, waitMs)
        })
      }
      ask(0)
      return () => {
        clearTimeout(again)
        cancel()
      }
    },
  }
}
