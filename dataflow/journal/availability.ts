/** Whether Kafka takes records: down after a failure, up again when the brokers answer; asked with growing pauses. */
import { backoffMs, pause } from '../../kit/backoff.ts'

const BACKOFF = { minMs: 100, maxMs: 2_000 }

export interface Availability {
  readonly available: boolean
  /** Why it is not; empty when it is. */
  readonly reason: string
  /** A record could not be sent. */
  failed(reason: string): void
  /** Nobody is told any more. */
  stop(): void
}

export interface AvailabilityDeps {
  /** Rejects while the brokers do not answer. */
  readonly ask: () => Promise<unknown>
  readonly onDown: (reason: string) => void
  readonly onUp: () => void
}

/** Begins as available: the first record finds out. */
export function createAvailability({ ask, onDown, onUp }: AvailabilityDeps): Availability {
  const stopped = new AbortController()
  let reason = ''
  let asking = false
  const askUntilUp = async (): Promise<void> => {
    for (let attempt = 0; !stopped.signal.aborted; attempt++) {
      await pause(backoffMs(attempt, BACKOFF), stopped.signal)
      if (await answers(ask)) break
    }
    if (stopped.signal.aborted) return
    asking = false
    reason = ''
    onUp()
  }
  return {
    get available() {
      return !asking
    },
    get reason() {
      return reason
    },
    failed(why) {
      reason = why
      if (asking || stopped.signal.aborted) return
      asking = true
      onDown(why)
      void askUntilUp()
    },
    stop: () => {
      stopped.abort()
    },
  }
}

async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  try {
    await ask()
    return true
  } catch {
    return false // asked again after a pause; why it is away was told when it went
  }
}
