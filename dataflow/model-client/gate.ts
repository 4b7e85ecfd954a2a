/** So many calls at once, so many waiting, the rest refused; nothing is made for the call that need not wait. */
export interface GateLimits {
  readonly concurrent: number
  readonly queued: number
}

export class Gate<T> {
  readonly #limits: GateLimits
  readonly #begin: (one: T) => void
  #running = 0
  /** In the order of arrival. */
  readonly #waiting: T[] = []

  constructor(limits: GateLimits, begin: (one: T) => void) {
    this.#limits = limits
    this.#begin = begin
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.length
  }

  /** Begins it now or when it is its turn; `leave` must follow once. False: refused, nothing was taken. */
  enter(one: T): boolean {
    if (this.#running < this.#limits.concurrent) {
      this.#running += 1
      this.#begin(one)
      return true
    }
    if (this.#waiting.length >= this.#limits.queued) return false
    this.#waiting.push(one)
    return true
  }

  /** Ends its waiting. @returns whether it waited */
  abandon(one: T): boolean {
    const place = this.#waiting.indexOf(one)
    if (place >= 0) this.#waiting.splice(place, 1)
    return place >= 0
  }

  leave(): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#running -= 1
    else this.#begin(next) // takes the place over
  }
}
