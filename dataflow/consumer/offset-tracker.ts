/** Which records of a partition are done, and how far they are without a gap: what may be committed. Pure. */
export class OffsetTracker {
  /** Offset to bytes; in the order of offsets, as they are taken in it. */
  readonly #open = new Map<bigint, number>()
  #next: bigint
  #bytes = 0

  constructor(from: bigint) {
    this.#next = from
  }

  /** Records that were taken and are not done. */
  get inFlight(): number {
    return this.#open.size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Everything before it is done. Never goes back. */
  get committable(): bigint {
    const first = this.#open.keys().next()
    return first.done === true ? this.#next : first.value
  }

  /** Of offsets that only grow. */
  take(offset: bigint, bytes: number): void {
    this.#open.set(offset, bytes)
    this.#bytes += bytes
    this.#next = offset + 1n
  }

  /** There is nothing to take before it. */
  skipTo(next: bigint): void {
    if (next > this.#next) this.#next = next
  }

  /** False: it was done before. */
  done(offset: bigint): boolean {
    const bytes = this.#open.get(offset)
    if (bytes === undefined) return false
    this.#open.delete(offset)
    this.#bytes -= bytes
    return true
  }
}
