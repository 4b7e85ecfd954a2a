/** Who waits for the answer of a request, and whether they still do. */
export interface Caller {
  readonly isGone: boolean
  /** Called at most once, when the caller goes away. One listener: whoever runs the request sets it, and takes it away at the end. */
  onGone: (() => void) | undefined
}

/** One that is gone when the signal says so. */
export const callerOf = (signal: AbortSignal): Caller => new SignalCaller(signal)

class SignalCaller implements Caller {
  readonly #signal: AbortSignal
  #onGone: (() => void) | undefined

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  get isGone(): boolean {
    return this.#signal.aborted
  }

  get onGone(): (() => void) | undefined {
    return this.#onGone
  }

  /** The signal may outlive many requests. */
  set onGone(listener: (() => void) | undefined) {
    if (this.#onGone !== undefined) this.#signal.removeEventListener('abort', this.#onGone)
    this.#onGone = listener
    if (listener !== undefined) this.#signal.addEventListener('abort', listener, { once: true })
  }
}
