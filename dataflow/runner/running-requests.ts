/** The requests that a runner has begun and not finished, and who waits until there are none. */
import { type Placed, PlacedList } from '../../kit/placed-list.ts'
import type { Plan } from '../plan/plan.ts'

export interface Running extends Placed {
  readonly plan: Plan
}

export class RunningRequests<T extends Running> {
  readonly #running = new PlacedList<T>()
  #waiters: { readonly plan: Plan | undefined; readonly resolve: () => void }[] = []

  get size(): number {
    return this.#running.size
  }

  add(request: T): void {
    this.#running.add(request)
  }

  delete(request: T): void {
    this.#running.delete(request)
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
    return plan === undefined ? this.#running.size === 0 : !this.#running.some((one) => one.plan === plan)
  }
}
