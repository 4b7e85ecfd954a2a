// Small numbers for names: the same bytes give the same number, up to a fixed count of names, the rest gives 0.
// All memory is taken by `reset`; looking up a known name allocates nothing.
import { bytesEqual, View } from './bytes'
import { fnv1a32 } from './hash'

/** The number of every name that came after the limit, or is too long. */
export const OTHER: u32 = 0

export class Interner {
  private readonly nameMax: i32
  /** Bytes of one name with its size. */
  private readonly stride: u32
  private limit: u32 = 0
  private mask: u32 = 0
  /** For each place: hash (u32), number (u32, 0 = free). */
  private index: usize = 0
  /** For each number: size (u32), the name. */
  private names: usize = 0
  private count: u32 = 0

  constructor(nameMax: i32) {
    this.nameMax = nameMax
    this.stride = (4 + nameMax + 3) & ~3
  }

  /** Forgets everything and takes memory for `limit` names. */
  reset(limit: u32): void {
    if (this.index != 0) {
      heap.free(this.index)
      heap.free(this.names)
    }
    let places: u32 = 8
    while (places < limit * 2) places <<= 1
    this.limit = limit
    this.mask = places - 1
    this.count = 0
    this.index = heap.alloc(places << 3)
    memory.fill(this.index, 0, places << 3)
    this.names = heap.alloc((limit + 1) * this.stride)
  }

  numberOf(ptr: usize, size: i32): u32 {
    if (size > this.nameMax) return OTHER
    const hash = fnv1a32(ptr, size)
    let at = hash & this.mask
    while (true) {
      const place = this.index + (<usize>at << 3)
      const number = load<u32>(place, 4)
      if (number == 0) return this.add(place, hash, ptr, size)
      if (load<u32>(place) == hash && this.isName(number, ptr, size)) return number
      at = (at + 1) & this.mask
    }
  }

  nameOf(number: u32, into: View): void {
    const name = this.names + number * this.stride
    into.set(name + 4, load<i32>(name))
  }

  private isName(number: u32, ptr: usize, size: i32): bool {
    const name = this.names + number * this.stride
    return load<i32>(name) == size && bytesEqual(name + 4, ptr, size)
  }

  private add(place: usize, hash: u32, ptr: usize, size: i32): u32 {
    if (this.count == this.limit) return OTHER
    const number = ++this.count
    store<u32>(place, hash)
    store<u32>(place, number, 4)
    const name = this.names + number * this.stride
    store<i32>(name, size)
    memory.copy(name + 4, ptr, size)
    return number
  }
}
