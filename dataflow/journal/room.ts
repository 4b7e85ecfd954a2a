/** Bytes that may wait at once. Whoever finds none waits his turn, within a deadline; of these, too, only so much waits. */
interface Waiter {
  readonly bytes: number
  readonly done: (granted: boolean) => void
}

export class Room {
  readonly #bound: number
  readonly #timeoutMs: number
  #used = 0
  #waiting: Waiter[] = []

  constructor(bound: number, timeoutMs: number) {
    this.#bound = bound
    this.#timeoutMs = timeoutMs
  }

  get used(): number {
    return this.#used
  }

  /** False: there is none, or others wait. What is more than the bound gets room when nothing else has any. */
  take(bytes: number): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes)) return false
    this.#used += bytes
    return true
  }

  /** False: none within the deadline, or too much waits already. */
  wait(bytes: number): Promise<boolean> {
    const queued = this.#waiting.reduce((sum, waiter) => sum + waiter.bytes, 0)
    if (queued > 0 && queued + bytes > this.#bound) return Promise.resolve(false)
    return new Promise((resolve) => {
      const waiter: Waiter = {
        bytes,
        done: (granted) => {
          clearTimeout(timer)
          resolve(granted)
        },
      }
      const timer = setTimeout(() => {
        this.#waiting = this.#waiting.filter((other) => other !== waiter)
        resolve(false)
      }, this.#timeoutMs)
      this.#waiting.push(waiter)
    })
  }

  give(bytes: number): void {
    this.#used -= bytes
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next.bytes); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#used += next.bytes
      next.done(true)
    }
  }

  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#bound
  }
}
