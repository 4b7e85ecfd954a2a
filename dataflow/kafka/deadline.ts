/** One deadline after another with one timer: setting one for each of many short waits costs more than the waits. */
export class Deadline {
  #timer: NodeJS.Timeout | undefined
  #ms = 0
  #onPassed: (() => void) | undefined

  /** Of one wait at a time. `onPassed` is called unless it was stopped before. */
  start(ms: number, onPassed: () => void): void {
    this.#onPassed = onPassed
    if (this.#timer !== undefined && this.#ms === ms) {
      this.#timer.refresh()
      return
    }
    clearTimeout(this.#timer)
    this.#ms = ms
    this.#timer = setTimeout(() => this.#onPassed?.(), ms)
    this.#timer.unref()
  }

  stop(): void {
    this.#onPassed = undefined
  }

  close(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }
}
