/** The requests that a runner has begun and not finished, and who waits until there are none. */
import type { Plan } from '../plan/plan.ts'

export interface Running {
  readonly plan: Plan
  /** Where it stands among the others; of the list alone. */
  place: number
}

/**
 * A list, not a Set: a Set's old tables refer to the new ones, so once one of them is old the garbage collector takes all that
 * came later for alive until its next full round, and every small round moves dead requests about for 10 ms.
 */
export class RunningRequests<T extends Running> {
  readonly #running: T[] = []
  #waiters: { readonly plan: Plan | undefined; readonly resolve: () => void }[] = []

  get size(): number {
    return this.#running.length
  }

  add(request: T): void {
    request.place = this.#running.push(request) - 1
  }

  /** Once for each that was added. */
  delete(request: T): void {
    const last = this.#running.pop()
    if (last !== undefined && last !== request) {
      last.place = request.place
      this.#running[request.place] = last
    }
    this.#look()
  }

  /** Resolves when nothing of this plan, or of any, runs any more. */
  untilIdle(plan?: Plan): Promise<void> {
    return new Promise((resolve) => {
      this.#waiters.push({ plan, resolve })
      this.#look()
    })
  }

  #look(): void {
    if (this.#waiters.length === 0) return
    const isIdle = ({ plan }: { readonly plan: Plan | undefined }): boolean => this.#isIdle(plan)
    for (const waiter of this.#waiters) if (isIdle(waiter)) waiter.resolve()
    this.#waiters = this.#waiters.filter((waiter) => !isIdle(waiter))
  }

  #isIdle(plan: Plan | undefined): boolean {
    return plan === undefined ? this.#running.length === 0 : !this.#running.some((one) => one.plan === plan)
  }
}
