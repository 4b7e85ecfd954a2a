/**
 * Deadlines that are nearly always met, on one timer: to set one and to drop it writes to a list, where a timer for each would
 * be made and thrown away. The timer is for the earliest that there has been, and looks for the next when it fires.
 */
/** setTimeout takes no more: 24 days. */
const MAX_TIMER_MS = 0x7fff_ffff

export interface Due {
  /** Of the list's clock; Infinity: never. */
  readonly dueMs: number
  /** Where it stands in the list; of the list alone. */
  duePlace: number
  /** At the time or a little later, once; it is in the list no more. */
  onDue(): void
}

/** The place of what is in no list. */
export const NOWHERE = -1

export class DueList {
  readonly #nowMs: () => number
  readonly #all: Due[] = []
  #timer: NodeJS.Timeout | undefined
  #timerMs = Infinity

  /** @param nowMs of a clock that only goes forward */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  add(one: Due): void {
    one.duePlace = this.#all.push(one) - 1
    if (one.dueMs < this.#timerMs) this.#wakeAt(one.dueMs)
  }

  /** Changes nothing when it is not there. */
  delete(one: Due): void {
    const place = one.duePlace
    if (place === NOWHERE) return
    one.duePlace = NOWHERE
    const last = this.#all.pop()
    if (last === undefined || last === one) return
    last.duePlace = place
    this.#all[place] = last
  }

  #wakeAt(dueMs: number): void {
    clearTimeout(this.#timer)
    this.#timerMs = dueMs
    const leftMs = Math.min(Math.max(Math.ceil(dueMs - this.#nowMs()), 0), MAX_TIMER_MS)
    this.#timer = setTimeout(this.#look, leftMs).unref() // nothing waits for a deadline alone
  }

  readonly #look = (): void => {
    const nowMs = this.#nowMs()
    const due = this.#all.filter(({ dueMs }) => dueMs <= nowMs).toSorted((a, b) => a.dueMs - b.dueMs)
    for (const one of due) this.delete(one)
    this.#timerMs = Infinity
    const nextMs = this.#all.reduce((earliest, { dueMs }) => Math.min(earliest, dueMs), Infinity)
    if (nextMs < Infinity) this.#wakeAt(nextMs)
    for (const one of due) one.onDue()
  }
}
