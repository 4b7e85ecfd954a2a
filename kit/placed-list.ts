/**
 * What has begun and not ended, in no order. A list, not a Set or a Map: their old tables refer to the new ones, so once one of
 * them is old the garbage collector takes all that came later for alive until its next full round, and every small round moves
 * what has ended about.
 */
export interface Placed {
  /** Where it stands among the others; of the list alone. */
  place: number
}

export class PlacedList<T extends Placed> {
  readonly #members: T[] = []

  get size(): number {
    return this.#members.length
  }

  add(member: T): void {
    member.place = this.#members.push(member) - 1
  }

  /** False: it is not there, or not any more. */
  delete(member: T): boolean {
    const { place } = member
    if (this.#members[place] !== member) return false
    const last = this.#members.pop()
    if (last !== undefined && last !== member) {
      last.place = place
      this.#members[place] = last
    }
    return true
  }

  some(test: (member: T) => boolean): boolean {
    return this.#members.some(test)
  }

  /** All of them, which are none of it any more. */
  takeAll(): readonly T[] {
    return this.#members.splice(0)
  }
}
