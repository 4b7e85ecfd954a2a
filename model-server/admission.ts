/** A bounded number of calls at once, a bounded number waiting, the rest refused. */
import { ServingError } from '../kit/errors.ts'

export interface AdmissionLimits {
  readonly concurrent: number
  readonly queued: number
}

export interface Admission {
  /**
   * Runs `work` when it is its turn. A caller that goes away stops waiting at once, but a call that has begun holds its
   * place until `work` really ends, so that aborted calls cannot pile up behind the limit.
   * @throws ServingError SERVER_OVERLOADED, CANCELLED
   */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
  /** Resolves when nothing runs or waits. */
  idle(): Promise<void>
}

export function createAdmission(limits: AdmissionLimits, subject: string): Admission {
  let running = 0
  const waiting: (() => void)[] = []
  const idleWaiters: (() => void)[] = []

  const leave = (): void => {
    const next = waiting.shift()
    if (next) {
      next() // hands its place over
      return
    }
    running -= 1
    if (running === 0) for (const resolve of idleWaiters.splice(0)) resolve()
  }

  const enter = async (signal: AbortSignal): Promise<void> => {
    if (running < limits.concurrent) {
      running += 1
      return
    }
    if (waiting.length >= limits.queued)
      throw new ServingError(
        'SERVER_OVERLOADED',
        `${subject} already has ${String(running)} requests running and ${String(waiting.length)} waiting`,
      )
    await new Promise<void>((resolve, reject) => {
      const proceed = (): void => {
        signal.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = (): void => {
        waiting.splice(waiting.indexOf(proceed), 1)
        reject(cancelled(subject))
      }
      waiting.push(proceed)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  return {
    async run(signal, work) {
      if (signal.aborted) throw cancelled(subject)
      await enter(signal)
      const result = work().finally(leave)
      return await unlessAborted(result, signal, subject)
    },
    idle: () =>
      running === 0
        ? Promise.resolve()
        : new Promise((resolve) => {
            idleWaiters.push(resolve)
          }),
  }
}

const cancelled = (subject: string) => new ServingError('CANCELLED', `the caller of ${subject} went away`)

async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal, subject: string): Promise<T> {
  let giveUp: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    giveUp = () => {
      reject(cancelled(subject))
    }
    signal.addEventListener('abort', giveUp, { once: true })
  })
  try {
    return await Promise.race([result, aborted])
  } finally {
    if (giveUp) signal.removeEventListener('abort', giveUp)
  }
}
