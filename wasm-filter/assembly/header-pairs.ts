// Reads all headers of a request as the host serialises them: a count, then the sizes of each name and value, then each
// name and value with a zero byte behind it. Everything is checked against the size: the reader never leaves the bytes.
import { View } from './bytes'

export class HeaderPairs {
  private sizes: usize = 0
  private left: i32 = 0
  private at: usize = 0
  private end: usize = 0
  readonly name: View = new View()
  readonly value: View = new View()

  start(pairs: View): void {
    this.left = 0
    if (pairs.size < 4) return
    const count = load<u32>(pairs.ptr)
    if (count > <u32>(pairs.size - 4) / 8) return
    this.left = <i32>count
    this.sizes = pairs.ptr + 4
    this.at = this.sizes + (<usize>count << 3)
    this.end = pairs.ptr + pairs.size
  }

  /** Moves to the next header; false at the end. */
  next(): bool {
    if (this.left == 0) return false
    const nameSize = load<u32>(this.sizes)
    const valueSize = load<u32>(this.sizes, 4)
    if (<u64>nameSize + <u64>valueSize + 2 > <u64>(this.end - this.at)) return false
    this.name.set(this.at, nameSize)
    this.value.set(this.at + nameSize + 1, valueSize)
    this.at += <usize>nameSize + valueSize + 2
    this.sizes += 8
    this.left--
    return true
  }
}
