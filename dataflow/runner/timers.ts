/** The timers that the executor of one request has set. */
export class Timers {
  readonly #nowMs: () => number
  readonly #fire: (timer: number) => void
  readonly #timers = new Map<number, NodeJS.Timeout>()

  constructor(nowMs: () => number, fire: (timer: number) => void) {
    this.#nowMs = nowMs
    this.#fire = fire
  }

  /** One that is set already is set anew. */
  set(timer: number, atMs: number): void {
    clearTimeout(this.#timers.get(timer))
    const due = setTimeout(
      () => {
        this.#timers.delete(timer)
        this.#fire(timer)
      },
      Math.max(Math.ceil(atMs - this.#nowMs()), 0),
    )
    this.#timers.set(timer, due)
  }

  clear(): void {
    for (const due of this.#timers.values()) clearTimeout(due)
    this.#timers.clear()
  }
}
