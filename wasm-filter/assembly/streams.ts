// State of the streams at work, in places of a fixed size by context id. A place that is free again is used again;
// the table doubles when it is half full, up to a bound, so memory follows the streams in flight and nothing else.

const PLACES_MIN: u32 = 256
const PLACES_MAX: u32 = 131072
/** Before each payload: the context id, 0 where free. */
const ID_BYTES: u32 = 8

export class Streams {
  private readonly stride: u32
  private places: u32 = PLACES_MIN
  private entries: usize
  private used: u32 = 0

  constructor(payloadBytes: u32) {
    this.stride = (ID_BYTES + payloadBytes + 7) & ~7
    this.entries = this.take(PLACES_MIN)
  }

  get any(): bool {
    return this.used > 0
  }

  /** A zeroed payload for a stream that has none; 0 when too many streams are open. */
  open(contextId: u32): usize {
    if (this.used * 2 >= this.places && !this.grow()) return 0
    const place = this.entryOf(contextId)
    if (load<u32>(place) == 0) this.used++
    memory.fill(place, 0, this.stride)
    store<u32>(place, contextId)
    return place + ID_BYTES
  }

  /** The payload of a stream; 0 when it has none. */
  find(contextId: u32): usize {
    const place = this.entryOf(contextId)
    return load<u32>(place) == contextId ? place + ID_BYTES : 0
  }

  /** Frees the place of a stream and moves back those that were put behind it. */
  close(contextId: u32): void {
    let hole = this.entryOf(contextId)
    if (load<u32>(hole) == 0) return
    this.used--
    const mask = this.places - 1
    let at = this.numberOf(hole)
    while (true) {
      at = (at + 1) & mask
      const place = this.entries + at * this.stride
      const id = load<u32>(place)
      if (id == 0) break
      const holeAt = this.numberOf(hole)
      if (((at - (id & mask)) & mask) < ((at - holeAt) & mask)) continue
      memory.copy(hole, place, this.stride)
      hole = place
    }
    store<u32>(hole, 0)
  }

  private numberOf(place: usize): u32 {
    return <u32>(place - this.entries) / this.stride
  }

  /** The place of a stream, or the free one where it would be. Context ids are consecutive: their low bits rarely meet. */
  private entryOf(contextId: u32): usize {
    const mask = this.places - 1
    let at = contextId & mask
    while (true) {
      const place = this.entries + at * this.stride
      const id = load<u32>(place)
      if (id == contextId || id == 0) return place
      at = (at + 1) & mask
    }
  }

  private grow(): bool {
    if (this.places == PLACES_MAX) return false
    const before = this.entries
    const end = before + this.places * this.stride
    this.places <<= 1
    this.entries = this.take(this.places)
    for (let place = before; place < end; place += this.stride) {
      const id = load<u32>(place)
      if (id != 0) memory.copy(this.entryOf(id), place, this.stride)
    }
    heap.free(before)
    return true
  }

  private take(places: u32): usize {
    const bytes = places * this.stride
    const entries = heap.alloc(bytes)
    memory.fill(entries, 0, bytes)
    return entries
  }
}
