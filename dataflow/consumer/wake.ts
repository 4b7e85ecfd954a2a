/** Ends one wait, the present or the next. */
export class Wake {
  #isDue = false
  #end: (() => void) | undefined

  notify(): void {
    this.#isDue = true
    this.#end?.()
  }

  /** Until `notify`, or so many milliseconds. One at a time. */
  async wait(ms?: number): Promise<void> {
    if (!this.#isDue) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#end = resolve
        if (ms !== undefined) timer = setTimeout(resolve, ms)
      })
      clearTimeout(timer)
      this.#end = undefined
    }
    this.#isDue = false
  }
}
