/**
 * A Map for what comes and goes with each request: what was deleted is garbage at once. The old tables of a Map refer to the new
 * ones, and to all that they held; here they hold numbers.
 */
export class ReleasingMap<K, V> {
  /** In the order in which they were set first, as in a Map. */
  readonly #places = new Map<K, number>()
  readonly #values: (V | undefined)[] = []
  readonly #free: number[] = []

  get size(): number {
    return this.#places.size
  }

  get(key: K): V | undefined {
    const place = this.#places.get(key)
    return place === undefined ? undefined : this.#values[place]
  }

  set(key: K, value: V): void {
    const place = this.#places.get(key) ?? this.#free.pop() ?? this.#values.length
    this.#places.set(key, place)
    this.#values[place] = value
  }

  delete(key: K): boolean {
    const place = this.#places.get(key)
    if (place === undefined) return false
    this.#places.delete(key)
    this.#values[place] = undefined
    this.#free.push(place)
    return true
  }

  /** Others may be set and deleted while it goes on. */
  *values(): Generator<V> {
    for (const place of this.#places.values()) {
      const value = this.#values[place]
      if (value !== undefined) yield value
    }
  }
}
